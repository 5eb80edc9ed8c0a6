/*
 * hammer_packets.c - the far ends: streams that mostly go on as streams do, and now and then as none should; reports,
 * true and broken; what looks like STUN and DTLS; rubbish.
 */
#include <errno.h>
#include <sys/socket.h>

#include "hammer.h"
#include "oh_rtp.h"

#define STREAMS 12u
#define MTU     1700u

struct stream {
	uint32_t ssrc, ts;
	uint16_t seq;
	bool     wide;   /* Opus */
	uint8_t  pt;
	uint32_t ms;
	unsigned far;
};

struct sender {
	struct board *board;
	struct dice   dice;
	struct stream streams[STREAMS];
};

static uint8_t any_byte(struct dice *dice)
{
	return (uint8_t)(noise(&dice->state) >> 24);
}

static void fill(struct dice *dice, uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		data[i] = any_byte(dice);
}

static struct stream any_stream(struct dice *dice)
{
	static const uint32_t lengths_ms[] = {10, 20, 20, 20, 30, 60, 120};
	static const uint8_t  types[] = {0, 8, 111, 96};
	uint8_t               pt = types[below(dice, 4)];

	return (struct stream){.ssrc = noise(&dice->state),
	                       .ts = noise(&dice->state),
	                       .seq = (uint16_t)noise(&dice->state),
	                       .wide = pt >= 96,
	                       .pt = pt,
	                       .ms = lengths_ms[below(dice, 7)],
	                       .far = below(dice, OWN_FAR)};
}

/* A step on the stream's two clocks: nearly always the right one. */
static void step(struct dice *dice, struct stream *stream)
{
	static const int16_t  seqs[] = {0, 2, 3, -1, -3, 50, 1000, 30000};
	const uint32_t        right = stream->ms * (stream->wide ? 48u : 8u);
	const uint32_t        wrong[] = {0, 0u - right, 10u * right, 160000, 1u << 31, (1u << 31) + 5u};

	stream->seq = (uint16_t)(stream->seq + (one_in(dice, 5) ? seqs[below(dice, 8)] : 1));
	stream->ts += one_in(dice, 6) ? wrong[below(dice, 6)] : right;
}

/* Audio, comfort noise, a key being pressed, or bytes that are none of these; by a payload type that is said or not. */
static size_t speak_rtp(struct sender *sender, struct stream *stream, uint8_t *data)
{
	static const uint8_t  others[] = {0, 8, 13, 96, 101, 101, 111, 72};
	static const uint16_t opus[] = {0, 1, 2, 10, 60, 200, 1200};
	static const uint16_t odd[] = {0, 1, 960, 961, 1275, 1276, 1400};
	struct dice          *dice = &sender->dice;
	struct oh_rtp         head = {.ssrc = stream->ssrc, .marker = one_in(dice, 3)};
	size_t                n = stream->wide ? 1u + opus[below(dice, 7)] : stream->ms * 8u;

	step(dice, stream);
	head.seq = stream->seq;
	head.timestamp = stream->ts;
	head.payload_type = one_in(dice, 10) ? others[below(dice, 8)] : stream->pt;
	if (head.payload_type == 101)
		n = 4;
	if (head.payload_type == 13)
		n = below(dice, 12);
	if (one_in(dice, 50))
		n = odd[below(dice, 7)];
	CHECK_INT(oh_rtp_build(data, MTU, &head), 0);
	fill(dice, data + OH_RTP_HEADER, n);
	if (head.payload_type == 101 && n == 4) {
		data[OH_RTP_HEADER] = (uint8_t)below(dice, 20);
		data[OH_RTP_HEADER + 1u] = one_in(dice, 2) ? 0x8a : 0x0a;
	}
	return OH_RTP_HEADER + n;
}

/* A sender report and an extended report (RFC 3550 6.4.1, RFC 3611), now and then cut short. */
static size_t speak_rtcp(struct sender *sender, const struct stream *stream, uint8_t *data)
{
	static const uint8_t head[] = {0x81, 200, 0, 12}, extended[] = {0x80, 207, 0, 4}, reference[] = {4, 0, 0, 2};
	const uint8_t        ssrc[] = {(uint8_t)(stream->ssrc >> 24), (uint8_t)(stream->ssrc >> 16),
	                               (uint8_t)(stream->ssrc >> 8), (uint8_t)stream->ssrc};

	fill(&sender->dice, data, 72);
	memcpy(data, head, 4);
	memcpy(data + 4, ssrc, 4);
	memcpy(data + 52, extended, 4);
	memcpy(data + 56, ssrc, 4);
	memcpy(data + 60, reference, 4);
	return one_in(&sender->dice, 4) ? below(&sender->dice, 72) : 72;
}

static size_t speak_other(struct sender *sender, uint8_t *data)
{
	static const uint16_t lengths[] = {1, 20, 100, 1400, 1500, 1501, 1650};
	size_t                n = one_in(&sender->dice, 2) ? lengths[below(&sender->dice, 7)] : below(&sender->dice, 1600);

	fill(&sender->dice, data, n);
	if (n > 0 && one_in(&sender->dice, 2)) /* as STUN and DTLS begin (RFC 7983) */
		data[0] = (uint8_t)(one_in(&sender->dice, 2) ? below(&sender->dice, 4) : 20u + below(&sender->dice, 44));
	return n;
}

static void swallow(const struct board *board)
{
	uint8_t data[2048];

	for (unsigned i = 0; i < OWN_FAR; i++)
		while (recv(board->far_fds[i], data, sizeof(data), MSG_DONTWAIT) > 0)
			continue;
}

struct sender *sender_make(struct board *board, uint32_t number)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	CHECK(sender != NULL);
	sender->board = board;
	sender->dice = dice_of(board->seed, ASKERS + number);
	for (unsigned i = 0; i < STREAMS; i++)
		sender->streams[i] = any_stream(&sender->dice);
	return sender;
}

void sender_free(struct sender *sender)
{
	free(sender);
}

bool send_some(struct sender *sender)
{
	struct dice       *dice = &sender->dice;
	uint64_t           port = any_port(sender->board, dice);
	struct stream     *stream = &sender->streams[number_of(port) % STREAMS];
	uint32_t           kind = below(dice, 20);
	bool               rtcp = kind >= 15 && kind < 17;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint8_t            data[MTU];
	size_t             n;

	if (atomic_load(&sender->board->over))
		return false;
	if (port == 0) {
		nap_us(1000);
		return true;
	}
	if (one_in(dice, 200))
		*stream = any_stream(dice);
	n = kind < 15 ? speak_rtp(sender, stream, data)
	    : rtcp    ? speak_rtcp(sender, stream, data)
	              : speak_other(sender, data);
	to.sin_port = htons((uint16_t)(udp_of(port) + (rtcp && !one_in(dice, 3) ? 1u : 0u)));
	/* What the system will not send, the far end has not sent. */
	(void)sendto(sender->board->far_fds[stream->far], data, n, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
	swallow(sender->board);
	if (one_in(dice, 3))
		nap_us(1000);
	return true;
}
