/* Which datagrams of an ICE port are whose: by their first bytes, by where they came from, and how many are let through. */
#include "check.h"
#include "oh_demux.h"

enum { SELECTED = 1, STRANGER = 2, PORT = 4000 };

static struct oh_demux demux;
static int64_t         now;

static void start(void)
{
	now = 1000000000000;
	oh_demux_init(&demux);
	oh_demux_select(&demux, SELECTED, PORT, now);
}

static enum oh_demux_verdict judge(uint32_t ip, uint16_t port, uint8_t first, uint8_t second)
{
	uint8_t data[2] = {first, second};

	return oh_demux_judge(&demux, ip, port, data, sizeof(data), now);
}

static void the_first_byte_says_what_it_is(void)
{
	for (unsigned first = 0; first < 256; first++) {
		for (unsigned second = 0; second < 256; second++) {
			uint8_t            data[2] = {(uint8_t)first, (uint8_t)second};
			enum oh_demux_kind should = first <= 3                   ? OH_DEMUX_STUN
			                            : first >= 20 && first <= 63 ? OH_DEMUX_DTLS
			                            : first < 128 || first > 191 ? OH_DEMUX_OTHER
			                            : second >= 192 && second <= 223 ? OH_DEMUX_RTCP
			                                                             : OH_DEMUX_RTP;

			CHECK_INT(oh_demux_kind(data, 2), should);
		}
	}
	CHECK_INT(oh_demux_kind(NULL, 0), OH_DEMUX_OTHER);
	CHECK_INT(oh_demux_kind((const uint8_t[]){128}, 1), OH_DEMUX_OTHER);
	CHECK_INT(oh_demux_kind((const uint8_t[]){0}, 1), OH_DEMUX_STUN);
}

static void only_stun_comes_from_elsewhere_than_the_selected_address(void)
{
	start();
	CHECK_INT(judge(STRANGER, PORT, 0, 1), OH_DEMUX_HAND_UP);
	CHECK_INT(judge(SELECTED, PORT, 22, 0), OH_DEMUX_HAND_UP);
	CHECK_INT(judge(SELECTED, PORT, 0x80, 0), OH_DEMUX_MEDIA);
	CHECK_INT(judge(SELECTED, PORT, 0x81, 200), OH_DEMUX_REPORT);
	CHECK_INT(judge(SELECTED, PORT, 16, 0), OH_DEMUX_BAD);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t ip = i == 0 ? STRANGER : SELECTED;
		uint16_t port = i == 0 ? PORT : PORT + 1;

		CHECK_INT(judge(ip, port, 22, 0), OH_DEMUX_WRONG_SOURCE);
		CHECK_INT(judge(ip, port, 0x80, 0), OH_DEMUX_WRONG_SOURCE);
		CHECK_INT(judge(ip, port, 0x81, 200), OH_DEMUX_WRONG_SOURCE);
	}
}

static void while_nothing_is_selected_there_is_nothing_but_stun_and_dtls(void)
{
	start();
	oh_demux_init(&demux);
	CHECK_INT(judge(0, 0, 0x80, 0), OH_DEMUX_WRONG_SOURCE); /* "no address" is nobody's address */
	CHECK_INT(judge(SELECTED, PORT, 22, 0), OH_DEMUX_HAND_UP);
	CHECK_INT(judge(SELECTED, PORT, 0x80, 0), OH_DEMUX_WRONG_SOURCE);
	CHECK_INT(judge(SELECTED, PORT, 1, 1), OH_DEMUX_HAND_UP);
}

static void media_on_its_way_when_another_address_is_selected_is_taken(void)
{
	start();
	now += 5000000000;
	oh_demux_select(&demux, STRANGER, PORT, now);
	CHECK_INT(judge(STRANGER, PORT, 0x80, 0), OH_DEMUX_MEDIA);
	CHECK_INT(judge(SELECTED, PORT, 0x80, 0), OH_DEMUX_MEDIA);
	CHECK_INT(judge(SELECTED, PORT, 0x81, 200), OH_DEMUX_REPORT);
	CHECK_INT(judge(SELECTED, PORT, 22, 0), OH_DEMUX_WRONG_SOURCE); /* but nobody speaks DTLS from there any more */
	CHECK_INT(judge(SELECTED, PORT + 1, 0x80, 0), OH_DEMUX_WRONG_SOURCE);
	now += OH_DEMUX_BEFORE_NS;
	CHECK_INT(judge(SELECTED, PORT, 0x80, 0), OH_DEMUX_WRONG_SOURCE);
	CHECK_INT(judge(STRANGER, PORT, 0x80, 0), OH_DEMUX_MEDIA);
	oh_demux_select(&demux, 0, 0, now);
	CHECK_INT(judge(STRANGER, PORT, 0x80, 0), OH_DEMUX_WRONG_SOURCE);
	CHECK_INT(judge(SELECTED, PORT, 0x80, 0), OH_DEMUX_WRONG_SOURCE);
}

static unsigned let_through(unsigned sent, int64_t apart_ns, uint8_t first)
{
	unsigned through = 0;

	for (unsigned i = 0; i < sent; i++, now += apart_ns)
		through += judge(SELECTED, PORT, first, 0) == OH_DEMUX_HAND_UP;
	return through;
}

static void a_burst_is_let_through_and_then_fifty_a_second(void)
{
	start();
	CHECK_INT(let_through(1000, 0, 0), OH_DEMUX_BURST);
	CHECK_INT(let_through(10000, 1000000, 0), 499); /* ten seconds, the first one's begins with none */
	now += 3600000000000;
	CHECK_INT(let_through(1000, 0, 0), OH_DEMUX_BURST); /* however long it was quiet */
	start();
	CHECK_INT(let_through(500, OH_DEMUX_LEAST_NS, 0), 500);
}

static void a_flood_of_stun_leaves_dtls_and_media_alone(void)
{
	start();
	CHECK_INT(let_through(1000, 0, 0), OH_DEMUX_BURST);
	CHECK_INT(judge(SELECTED, PORT, 0, 0), OH_DEMUX_TOO_MANY);
	CHECK_INT(judge(SELECTED, PORT, 0x80, 0), OH_DEMUX_MEDIA);
	CHECK_INT(let_through(1000, 0, 22), OH_DEMUX_BURST);
}

static void strangers_stun_does_not_crowd_out_the_selected_addresss(void)
{
	unsigned through = 0;

	start();
	for (unsigned i = 0; i < 10000; i++, now += 1000000) {
		through += judge(STRANGER, PORT, 1, 1) == OH_DEMUX_HAND_UP;
		if (i % 100 == 0) /* ten checks a second */
			CHECK_INT(judge(SELECTED, PORT, 0, 1), OH_DEMUX_HAND_UP);
	}
	CHECK(through <= OH_DEMUX_BURST + 500);
}

int main(void)
{
	RUN(the_first_byte_says_what_it_is);
	RUN(only_stun_comes_from_elsewhere_than_the_selected_address);
	RUN(while_nothing_is_selected_there_is_nothing_but_stun_and_dtls);
	RUN(media_on_its_way_when_another_address_is_selected_is_taken);
	RUN(a_burst_is_let_through_and_then_fifty_a_second);
	RUN(a_flood_of_stun_leaves_dtls_and_media_alone);
	RUN(strangers_stun_does_not_crowd_out_the_selected_addresss);
	return 0;
}
