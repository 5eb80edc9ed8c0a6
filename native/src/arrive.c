/* arrive.c - packets into the bridge path's buffer: their place on the sender's timeline, and what they teach. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oh_rtp.h"
#include "playout.h"

#define MS 1000000ll

enum {
	SEQ_FAR = 1000,    /* a sequence number further off is of another stream, if a second follows it */
	FASTS_MS = 10000,
	USUAL = 64,        /* packets that the mean transit runs over */
	STRAY = 1 << 16,   /* one packet out of order, as a share of ... */
	STRAYS = 256,      /* ... so many */
};

#define GUARD_NS (5 * MS / 2)  /* a packet that came so shortly before its pull might have missed it */
#define TOGETHER_NS (1 * MS)   /* packets so close came at once: the sender's way, or a queue, which keeps the order */
#define EARLY_NS (500 * MS)    /* a packet so much before its time has a timestamp that jumped */
#define OTHER_NS (1000 * MS)   /* a transit so far from the usual one is of another network: begin to learn again */
#define STRAY_NS (12 * MS)     /* what it is worth to wait, longer than usual, for 1 in 256 packets out of order */

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The first pull that finds what arrives at this moment. */
static int64_t pull_after(const struct oh_playout *playout, int64_t moment_ns)
{
	if (playout->get_ns == INT64_MIN)
		return moment_ns;

	int64_t since_ns = moment_ns - playout->get_ns;

	if (since_ns <= playout->pull_ns) /* nearly always */
		return playout->get_ns + playout->pull_ns;
	return playout->get_ns + (since_ns + playout->pull_ns - 1) / playout->pull_ns * playout->pull_ns;
}

/* ---- where a packet belongs ---- */

static void start_stream(struct oh_playout *playout, const struct oh_playout_packet *packet, int64_t arrival_ns)
{
	int64_t at = 0;

	if (playout->started) {
		/* as far behind as the stream before was: what was learnt of the network stays true */
		at = later(playout->top_at + playout->top_n, (arrival_ns - playout->newest_ns) / playout->sample_ns);
		playout->counters.restarts++;
	}
	playout->started = true;
	playout->fresh = true;
	playout->again = false;
	playout->jump_seen = false;
	oh_gap_forget(&playout->gaps);
	oh_came_init(&playout->came, (uint16_t)(packet->seq - 1));
	playout->top_ts = packet->timestamp;
	playout->top_at = at;
	playout->top_n = 0;
	for (unsigned i = 0; i < OH_PLAYOUT_FASTS; i++)
		playout->fast_ns[i] = arrival_ns - at * playout->sample_ns;
	playout->fast_from_ns = arrival_ns;
}

/* Is this far from the stream as it was? Decided by the numbers alone. */
static bool is_far(struct oh_playout *playout, uint16_t seq)
{
	int off = oh_came_ahead(&playout->came, seq);

	return off > SEQ_FAR || off < -SEQ_FAR;
}

/* Has the timestamp of a packet that goes on with the sequence numbers jumped? */
static bool has_jumped(const struct oh_playout *playout, int32_t ahead, int64_t arrival_ns)
{
	int64_t transit_ns = arrival_ns - (playout->top_at + ahead) * playout->sample_ns;

	return ahead < 0 || transit_ns < sooner(playout->fast_ns[0], playout->fast_ns[1]) - EARLY_NS;
}

/* ---- what a packet teaches ---- */

/* How restless the network is, by a packet that followed another. */
static void learn_unrest(struct oh_playout *playout, int64_t at, int64_t arrival_ns)
{
	int64_t took_ns = arrival_ns - at * playout->sample_ns;

	if (arrival_ns - playout->came_ns < TOGETHER_NS)
		return;
	if (playout->came_ns > 0)
		playout->unrest_ns += (sooner(llabs(took_ns - playout->took_ns), OTHER_NS) - playout->unrest_ns) / USUAL;
	playout->came_ns = arrival_ns;
	playout->took_ns = took_ns;
}

static void learn(struct oh_playout *playout, int64_t at, int32_t n, int64_t arrival_ns, bool in_order)
{
	int64_t sent_ns = at * playout->sample_ns, packet_ns = n * playout->sample_ns;
	int64_t transit_ns = arrival_ns - sent_ns;

	if (arrival_ns - playout->fast_from_ns > FASTS_MS * MS) {
		playout->fast_ns[1] = playout->fast_ns[0];
		playout->fast_ns[0] = transit_ns;
		playout->fast_from_ns = arrival_ns;
	}
	playout->fast_ns[0] = sooner(playout->fast_ns[0], transit_ns);
	if (in_order)
		playout->newest_ns = transit_ns;
	if (!playout->delay.started ||
	    (in_order && (transit_ns - playout->usual_ns > OTHER_NS || playout->usual_ns - transit_ns > OTHER_NS)))
		playout->usual_ns = transit_ns;
	playout->usual_ns += (transit_ns - playout->usual_ns) / USUAL;

	/* the more packets come out of order, the more delay they are worth */
	int64_t most_ns = INT64_MAX;

	playout->strays += (in_order ? 0 : STRAY) - playout->strays / STRAYS;
	if (!in_order && transit_ns > playout->usual_ns + STRAY_NS * playout->strays / STRAY)
		return;
	if (playout->delay.started)
		most_ns = oh_delay_wise_ns(&playout->delay) + OH_PLAYOUT_FAR_NS;
	oh_delay_heard(&playout->delay, sooner(most_ns, pull_after(playout, arrival_ns) - sent_ns),
	               sooner(most_ns, pull_after(playout, arrival_ns + GUARD_NS) - sent_ns), playout->pull_ns, packet_ns);
}

/* ---- in ---- */

/* Played already? Then it is late. */
static bool is_past(const struct oh_playout *playout, const struct oh_waiting_packet *packet)
{
	return packet->kind == OH_WAITING_AUDIO && packet->at + packet->n <= playout->end_at && !packet->fresh &&
	       !playout->never;
}

static void store(struct oh_playout *playout, struct oh_waiting_packet *packet, const uint8_t *payload)
{
	while (!oh_waiting_put(&playout->waiting, packet, payload)) { /* nobody pulls, or far too much came at once */
		playout->counters.discarded++;
		playout->joint = true;
		oh_waiting_drop(&playout->waiting);
	}
}

int oh_playout_put(struct oh_playout *playout, const struct oh_playout_packet *packet, int64_t arrival_ns)
{
	struct oh_waiting_packet taken = {
		.arrival_ns = arrival_ns,
		.seq = packet->seq,
		.len = (uint16_t)packet->len,
		.kind = packet->len == 0 ? OH_WAITING_SILENT : packet->comfort ? OH_WAITING_COMFORT : OH_WAITING_AUDIO,
	};

	if (packet->len > OH_CODEC_PAYLOAD_MAX)
		goto bad;
	if (taken.kind == OH_WAITING_AUDIO)
		taken.n = oh_codec_samples(playout->decoder.codec, packet->payload, packet->len);
	if (taken.n < 0)
		goto bad;
	if (!playout->started || playout->again) {
		start_stream(playout, packet, arrival_ns);
	} else if (is_far(playout, packet->seq)) {
		bool second = playout->jump_seen && packet->seq == playout->jump_seq;

		playout->jump_seen = true;
		playout->jump_seq = (uint16_t)(packet->seq + 1);
		if (!second)
			goto bad;
		start_stream(playout, packet, arrival_ns);
	}

	int32_t ahead = oh_ts_diff(packet->timestamp, playout->top_ts) / (int32_t)playout->ticks;
	bool    in_order = oh_came_ahead(&playout->came, packet->seq) > 0;

	if (in_order && taken.kind != OH_WAITING_SILENT && has_jumped(playout, ahead, arrival_ns)) {
		start_stream(playout, packet, arrival_ns);
		ahead = 0;
	}
	if (!in_order && ahead > 0)
		goto bad; /* older by one number and newer by the other */

	int missing = oh_came_ahead(&playout->came, packet->seq) - 1;

	if (!oh_came_take(&playout->came, packet->seq)) {
		playout->counters.duplicate++;
		return 0;
	}
	playout->counters.packets++;
	playout->counters.reordered += !in_order;
	if (missing == 0 && taken.kind == OH_WAITING_AUDIO)
		learn_unrest(playout, playout->top_at + ahead, arrival_ns);
	if (missing > 0)
		oh_gap_opens(&playout->gaps, (uint16_t)(packet->seq - missing), (uint16_t)missing, arrival_ns);
	if (!in_order)
		oh_gap_fills(&playout->gaps, packet->seq, arrival_ns);
	playout->jump_seen = false;
	if (taken.kind == OH_WAITING_SILENT) {
		taken.at = playout->top_at + playout->top_n;
	} else {
		taken.at = playout->top_at + ahead;
		if (in_order) {
			playout->top_ts = packet->timestamp;
			playout->top_at = taken.at;
			playout->top_n = taken.n;
		}
	}
	taken.fresh = playout->fresh;
	playout->fresh = false;
	if (taken.kind == OH_WAITING_AUDIO)
		learn(playout, taken.at, taken.n, arrival_ns, in_order);
	if (is_past(playout, &taken)) {
		playout->counters.late++;
		playout->counters.lost -= playout->counters.lost > 0;
		return 0;
	}
	store(playout, &taken, packet->payload);
	return 0;
bad:
	playout->counters.bad++;
	return -EBADMSG;
}

void oh_playout_restart(struct oh_playout *playout)
{
	if (!playout->started)
		return;
	oh_waiting_init(&playout->waiting);
	playout->again = true;
}
