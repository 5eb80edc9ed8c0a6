/* Whose packets a port takes: who was named, who merely speaks, who moves, and who only pretends. */
#include "check.h"
#include "oh_core.h"
#include "oh_latch.h"

enum { NAMED = 1, STRANGER = 2, RTP = 4000, ELSEWHERE = 5000, VOICE = 0x11, OTHER = 0x22 };

static const int64_t tick = 20000000;

static struct oh_latch latch;
static int64_t         now;

static void start(void)
{
	now = 1000000000000;
	oh_latch_signalled(&latch, NAMED, RTP);
}

static enum oh_verdict voice(uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq)
{
	return oh_latch_judge(&latch, ip, port, ssrc, seq, false, now);
}

static enum oh_verdict digit(uint32_t ip, uint16_t port, uint32_t ssrc, uint16_t seq)
{
	return oh_latch_judge(&latch, ip, port, ssrc, seq, true, now);
}

static void the_first_packet_of_the_named_address_is_taken_from_any_port(void)
{
	start();
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 7), OH_TAKE_MOVED);
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 8), OH_TAKE);
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 300), OH_TAKE); /* sequence is the listening path's business */
}

static void a_stranger_needs_four_in_sequence_and_yields_to_the_named_address(void)
{
	start();
	CHECK_INT(voice(STRANGER, RTP, VOICE, 65534), OH_WRONG_SOURCE);
	CHECK_INT(voice(STRANGER, RTP, VOICE, 65535), OH_WRONG_SOURCE);
	CHECK_INT(voice(STRANGER, RTP, VOICE, 1), OH_WRONG_SOURCE); /* one is missing: from the beginning */
	CHECK_INT(voice(STRANGER, RTP, VOICE, 2), OH_WRONG_SOURCE);
	CHECK_INT(voice(STRANGER, RTP, VOICE, 3), OH_WRONG_SOURCE);
	CHECK_INT(voice(STRANGER, RTP, VOICE, 4), OH_TAKE_MOVED);
	CHECK_INT(voice(NAMED, ELSEWHERE, OTHER, 9), OH_TAKE_MOVED);
	for (uint16_t seq = 5; seq < 50; seq++, now += 1000000000)
		CHECK_INT(voice(STRANGER, RTP, VOICE, seq), OH_WRONG_SOURCE);
}

static void who_knows_the_streams_name_cannot_take_it_while_it_speaks(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	for (uint16_t seq = 2; seq < 100; seq++, now += tick) {
		CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, seq), OH_WRONG_SSRC);
		CHECK_INT(voice(STRANGER, RTP, VOICE, seq), OH_WRONG_SOURCE);
		CHECK_INT(voice(NAMED, RTP, VOICE, seq), OH_TAKE);
	}
}

static void a_stream_goes_on_from_another_port_when_its_own_is_silent(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	now += OH_LATCH_REBIND_NS - 1;
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 5), OH_WRONG_SSRC);
	now += 1;
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 6), OH_TAKE_MOVED);
}

static void strangers_do_not_keep_a_stream_from_moving(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	now += OH_LATCH_REBIND_NS;
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 5), OH_WRONG_SSRC);
	CHECK_INT(voice(STRANGER, RTP, OTHER, 9), OH_WRONG_SOURCE);
	CHECK_INT(voice(NAMED, ELSEWHERE, VOICE, 6), OH_TAKE_MOVED);
}

static void a_stranger_that_was_believed_may_move_within_its_address(void)
{
	start();
	for (uint16_t seq = 1; seq <= OH_LATCH_PACKETS; seq++)
		(void)voice(STRANGER, RTP, VOICE, seq);
	now += OH_LATCH_REBIND_NS;
	CHECK_INT(voice(STRANGER, ELSEWHERE, VOICE, 10), OH_WRONG_SSRC);
	CHECK_INT(voice(STRANGER, ELSEWHERE, VOICE, 11), OH_TAKE_MOVED);
}

static void another_stream_from_another_port_waits_for_a_second_of_silence(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	for (uint16_t seq = 1; seq <= 50; seq++, now += tick)
		CHECK_INT(voice(NAMED, ELSEWHERE, OTHER, seq), OH_WRONG_SSRC);
	CHECK_INT(voice(NAMED, ELSEWHERE, OTHER, 51), OH_TAKE_MOVED);
}

static void the_named_port_takes_over_from_another_one(void)
{
	start();
	CHECK_INT(voice(NAMED, ELSEWHERE, OTHER, 1), OH_TAKE_MOVED); /* what was on its way when signalling moved the call */
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_WRONG_SSRC);
	CHECK_INT(voice(NAMED, ELSEWHERE, OTHER, 2), OH_TAKE);
	CHECK_INT(voice(NAMED, RTP, VOICE, 2), OH_TAKE_MOVED);
}

static void a_renamed_stream_is_taken_with_its_second_packet(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	CHECK_INT(voice(NAMED, RTP, OTHER, 100), OH_WRONG_SSRC);
	CHECK_INT(voice(NAMED, RTP, OTHER, 101), OH_TAKE_MOVED);
}

static void digits_of_another_ssrc_count_and_leave_the_voice_alone(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	CHECK_INT(digit(NAMED, RTP, OTHER, 500), OH_WRONG_SSRC);
	CHECK_INT(voice(NAMED, RTP, VOICE, 2), OH_TAKE);
	CHECK_INT(digit(NAMED, RTP, OTHER, 501), OH_TAKE_DIGITS);
	CHECK_INT(voice(NAMED, RTP, VOICE, 3), OH_TAKE);
	CHECK_INT(digit(NAMED, RTP, OTHER, 507), OH_TAKE_DIGITS); /* proven: some may be lost */
	CHECK_INT(voice(NAMED, RTP, VOICE, 4), OH_TAKE);
	CHECK_INT(digit(NAMED, RTP, VOICE, 5), OH_TAKE);
}

static void a_selected_address_has_the_stream_at_once(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	oh_latch_select(&latch, STRANGER, ELSEWHERE);
	CHECK_INT(voice(STRANGER, ELSEWHERE, VOICE, 2), OH_TAKE);
	CHECK_INT(voice(NAMED, RTP, VOICE, 3), OH_WRONG_SOURCE);
	CHECK_INT(voice(STRANGER, ELSEWHERE, OTHER, 100), OH_WRONG_SSRC);
	CHECK_INT(voice(STRANGER, ELSEWHERE, OTHER, 101), OH_TAKE_MOVED);
	start();
	oh_latch_select(&latch, STRANGER, ELSEWHERE);
	CHECK_INT(voice(STRANGER, ELSEWHERE, VOICE, 2), OH_TAKE_MOVED);
}

static void digits_from_elsewhere_or_out_of_sequence_do_not_count(void)
{
	start();
	CHECK_INT(voice(NAMED, RTP, VOICE, 1), OH_TAKE_MOVED);
	for (uint16_t seq = 2; seq < 200; seq = (uint16_t)(seq + 2u), now += tick) {
		CHECK_INT(voice(NAMED, RTP, VOICE, seq), OH_TAKE);
		CHECK_INT(digit(NAMED, ELSEWHERE, OTHER, seq), OH_WRONG_SSRC);
		CHECK_INT(digit(NAMED, ELSEWHERE, OTHER, (uint16_t)(seq + 1u)), OH_WRONG_SSRC);
		CHECK_INT(digit(STRANGER, RTP, OTHER, seq), OH_WRONG_SOURCE);
		CHECK_INT(digit(NAMED, RTP, OTHER, seq), OH_WRONG_SSRC);
		CHECK_INT(digit(NAMED, RTP, seq, seq), OH_WRONG_SSRC);
	}
}

int main(void)
{
	RUN(the_first_packet_of_the_named_address_is_taken_from_any_port);
	RUN(a_stranger_needs_four_in_sequence_and_yields_to_the_named_address);
	RUN(who_knows_the_streams_name_cannot_take_it_while_it_speaks);
	RUN(a_stream_goes_on_from_another_port_when_its_own_is_silent);
	RUN(strangers_do_not_keep_a_stream_from_moving);
	RUN(a_stranger_that_was_believed_may_move_within_its_address);
	RUN(another_stream_from_another_port_waits_for_a_second_of_silence);
	RUN(the_named_port_takes_over_from_another_one);
	RUN(a_renamed_stream_is_taken_with_its_second_packet);
	RUN(digits_of_another_ssrc_count_and_leave_the_voice_alone);
	RUN(a_selected_address_has_the_stream_at_once);
	RUN(digits_from_elsewhere_or_out_of_sequence_do_not_count);
	return 0;
}
