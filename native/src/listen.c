/* listen.c - the listening path's buffer: what the header says, packet by packet and tick by tick. */
#include "oh_listen.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "oh_rtp.h"

enum {
	NS_A_SAMPLE = 125000,
	TICKS_AT_MOST = 8000,             /* samples made up in one call: 1 s */
	QUIET_COMFORT = 10 * 8000,        /* samples: after a comfort noise packet, silence without further packets ... */
	QUIET_OTHER = 1600,               /* ... and after a digit's packet */
	SEEN = 128,                       /* sequence numbers remembered */
	STUCK_NS = 500000000,             /* nothing but late packets for so long: the path's delay grew for good */
	NS_A_PACKET = 5000000,            /* shortest packets that a sequence number's advance is explained by */
};

_Static_assert(OH_LISTEN_SEQ_JUMP < SEEN, "whatever is not a jump is remembered");

/* ---- frames out ---- */

static void emit(struct oh_listen *listen, enum oh_listen_kind kind, const int16_t *pcm, size_t n, int64_t at,
                 uint32_t timestamp)
{
	struct oh_listen_frame frame = {
		.pcm = pcm,
		.n = n,
		.at = at,
		.timestamp = timestamp,
		.kind = kind,
		.restarted = listen->restarted && kind != OH_LATE,
	};

	assert(n > 0 && n <= OH_LISTEN_MAX_SAMPLES);
	if (kind != OH_LATE)
		listen->restarted = false;
	listen->out(listen->out_arg, &frame);
}

static void emit_next(struct oh_listen *listen, enum oh_listen_kind kind, const int16_t *pcm, size_t n)
{
	emit(listen, kind, pcm, n, listen->at, listen->next_ts);
	listen->at += (int64_t)n;
	listen->next_ts += (uint32_t)n;
	listen->moved_ns = listen->now_ns;
	if (kind != OH_SKIPPED)
		oh_lead_gave(&listen->lead, n);
}

/* Make up n samples; `chosen`: the sender is known to be silent there. */
static void fill(struct oh_listen *listen, int64_t n, bool chosen)
{
	while (n > 0) {
		size_t              now = n < OH_LISTEN_FILL ? (size_t)n : OH_LISTEN_FILL;
		enum oh_listen_kind kind = OH_MISSING;

		if (chosen || listen->quiet > 0) {
			kind = OH_COMFORT;
			oh_conceal_hush(&listen->conceal);
			listen->quiet -= listen->quiet < now ? listen->quiet : (uint32_t)now;
			listen->counters.comfort_samples += now;
		} else if (listen->conceal.gone < OH_CONCEAL_LIMIT) {
			kind = OH_CONCEALED;
			if (now > OH_CONCEAL_LIMIT - listen->conceal.gone)
				now = OH_CONCEAL_LIMIT - listen->conceal.gone;
			listen->counters.concealed_samples += now;
		} else {
			listen->counters.missing_samples += now;
		}
		oh_conceal_fill(&listen->conceal, listen->pcm, now);
		emit_next(listen, kind, listen->pcm, now);
		n -= (int64_t)now;
	}
}

static int64_t samples_of(int64_t ns)
{
	return ns / NS_A_SAMPLE;
}

/* ---- one packet whose turn has come ---- */

/* The stream passes this sequence number; false where it did so before. */
static bool pass(struct oh_listen *listen, uint16_t seq)
{
	int skipped = oh_seq_diff(seq, listen->next_seq);

	if (skipped < 0) {
		if (listen->counters.lost > 0)
			listen->counters.lost--; /* given up for lost before */
		return false;
	}
	listen->counters.lost += (uint64_t)skipped;
	listen->next_seq = (uint16_t)(seq + 1);
	return true;
}

static void release_audio(struct oh_listen *listen, const uint8_t *payload, size_t n, uint32_t timestamp)
{
	int64_t ahead = oh_ts_diff(timestamp, listen->next_ts);
	int64_t at = listen->at + ahead;
	size_t  late = 0;

	oh_g711_decode(listen->law, payload, listen->pcm, n);
	if (ahead < 0) {
		late = -ahead < (int64_t)n ? (size_t)-ahead : n;
		emit(listen, OH_LATE, listen->pcm, late, at, timestamp);
		if (late == n) {
			listen->counters.late++;
			return;
		}
	}
	assert(late > 0 || ahead == 0);

	int16_t *pcm = listen->pcm + late;
	size_t   fresh = n - late;
	bool     skipped = oh_lead_skips(&listen->lead, pcm, fresh);

	listen->quiet = 0;
	oh_conceal_heard(&listen->conceal, pcm, fresh);
	if (skipped) {
		listen->counters.skipped_samples += fresh;
		emit_next(listen, OH_SKIPPED, pcm, fresh);
	} else {
		listen->counters.heard_samples += fresh;
		emit_next(listen, OH_HEARD, pcm, fresh);
	}
}

/*
 * Release a packet: it continues the stream, or overlaps it, or lies ahead of it by a silence of the sender's
 * (`ahead` samples that nothing is known to be missing from).
 */
static void release(struct oh_listen *listen, const uint8_t *payload, size_t len, enum oh_listen_content content,
                    uint32_t timestamp, uint16_t seq)
{
	int32_t ahead = oh_ts_diff(timestamp, listen->next_ts);
	bool    in_turn = pass(listen, seq);

	if (content == OH_CARRIES_OTHER) {
		if (in_turn && listen->quiet < QUIET_OTHER)
			listen->quiet = QUIET_OTHER;
		return;
	}
	if (ahead > 0)
		fill(listen, ahead, true);
	if (content == OH_CARRIES_COMFORT) {
		if (in_turn) {
			oh_comfort_level(&listen->conceal.comfort, payload[0] & 0x7fu);
			listen->quiet = QUIET_COMFORT;
		}
		return;
	}
	release_audio(listen, payload, len, timestamp);
}

/* ---- packets that wait ---- */

static struct oh_listen_slot *first_waiting(struct oh_listen *listen)
{
	struct oh_listen_slot *first = NULL;

	if (listen->waiting == 0)
		return NULL;
	for (size_t i = 0; i < OH_LISTEN_SLOTS; i++) {
		struct oh_listen_slot *slot = &listen->slots[i];

		if (slot->used && (!first || oh_seq_diff(slot->seq, first->seq) < 0))
			first = slot;
	}
	assert(first);
	return first;
}

static int64_t oldest_waiting_ns(const struct oh_listen *listen)
{
	int64_t oldest = INT64_MAX;

	if (listen->waiting == 0)
		return oldest;
	for (size_t i = 0; i < OH_LISTEN_SLOTS; i++)
		if (listen->slots[i].used && listen->slots[i].arrival_ns < oldest)
			oldest = listen->slots[i].arrival_ns;
	return oldest;
}

static void release_slot(struct oh_listen *listen, struct oh_listen_slot *slot)
{
	slot->used = false;
	listen->waiting--;
	release(listen, slot->payload, slot->len, slot->content, slot->timestamp, slot->seq);
}

/* Does a packet continue the stream as it stands? */
static bool fits(const struct oh_listen *listen, enum oh_listen_content content, uint32_t timestamp, uint16_t seq)
{
	if (oh_seq_diff(seq, listen->next_seq) <= 0 && oh_ts_diff(timestamp, listen->next_ts) <= 0)
		return true;
	return seq == listen->next_seq ||
	       (content == OH_CARRIES_AUDIO && oh_ts_diff(timestamp, listen->next_ts) <= 0);
}

static void release_what_fits(struct oh_listen *listen)
{
	struct oh_listen_slot *slot;

	while ((slot = first_waiting(listen)) != NULL && fits(listen, slot->content, slot->timestamp, slot->seq))
		release_slot(listen, slot);
}

/* Give up on what is missing before the first waiting packet, at most `most` samples of it, and go on from there. */
static void give_up_gap(struct oh_listen *listen, int64_t most)
{
	struct oh_listen_slot *slot = first_waiting(listen);
	int64_t                ahead = oh_ts_diff(slot->timestamp, listen->next_ts);

	if (slot->content == OH_CARRIES_OTHER || ahead <= most) {
		if (slot->content != OH_CARRIES_OTHER && ahead > 0)
			fill(listen, ahead, false);
		release_slot(listen, slot);
		release_what_fits(listen);
	} else {
		fill(listen, most, false);
	}
}

static void store(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	size_t free_slot = 0;

	while (free_slot < OH_LISTEN_SLOTS && listen->slots[free_slot].used)
		free_slot++;
	assert(free_slot < OH_LISTEN_SLOTS); /* one was made before */

	struct oh_listen_slot *slot = &listen->slots[free_slot];

	slot->used = true;
	slot->arrival_ns = arrival_ns;
	slot->timestamp = packet->timestamp;
	slot->seq = packet->seq;
	slot->content = packet->content;
	slot->len = packet->content == OH_CARRIES_OTHER ? 0 : (uint16_t)packet->payload_len;
	memcpy(slot->payload, packet->payload, slot->len);
	listen->waiting++;
}

/* ---- time ---- */

int64_t oh_listen_due_ns(const struct oh_listen *listen)
{
	if (!listen->started)
		return INT64_MAX;

	int64_t due = listen->base_ns + listen->at * NS_A_SAMPLE;
	int64_t oldest = oldest_waiting_ns(listen);

	return (oldest < due ? oldest : due) + OH_LISTEN_WAIT_NS;
}

static void advance(struct oh_listen *listen, int64_t now_ns)
{
	if (!listen->started)
		return;

	while (oh_listen_due_ns(listen) <= now_ns) {
		if (listen->waiting == 0) {
			int64_t behind = samples_of(now_ns - OH_LISTEN_WAIT_NS - listen->base_ns) - listen->at;

			if (behind > TICKS_AT_MOST) /* nobody called for long */
				listen->base_ns += (behind - TICKS_AT_MOST) * NS_A_SAMPLE;
			fill(listen, OH_LISTEN_FILL, false);
		} else if (oldest_waiting_ns(listen) + OH_LISTEN_WAIT_NS <= now_ns) {
			give_up_gap(listen, INT32_MAX);
		} else {
			give_up_gap(listen, OH_LISTEN_FILL);
		}
	}
}

/*
 * Take the newest packet's delay as the path's. A packet leaves when its last sample was said; of the next one's length
 * no more is known than what has been usual.
 */
static void set_base(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	int64_t start = listen->at + oh_ts_diff(packet->timestamp, listen->next_ts);
	int32_t n = packet->content == OH_CARRIES_AUDIO ? (int32_t)packet->payload_len : listen->usual;

	listen->usual = n > listen->usual ? n : listen->usual - (listen->usual - n) / 16;
	listen->base_ns = arrival_ns - (start + n - listen->usual) * NS_A_SAMPLE;

	/* A packet from long ago must not stop the clock for as long. */
	int64_t latest_ns = arrival_ns + STUCK_NS - listen->at * NS_A_SAMPLE;

	if (listen->base_ns > latest_ns)
		listen->base_ns = latest_ns;
}

/* ---- beginnings ---- */

void oh_listen_init(struct oh_listen *listen, enum oh_g711 law, oh_listen_out *out, void *arg, uint32_t seed)
{
	memset(listen, 0, sizeof(*listen));
	listen->law = law;
	listen->out = out;
	listen->out_arg = arg;
	oh_lead_init(&listen->lead);
	oh_conceal_init(&listen->conceal, seed);
}

void oh_listen_law(struct oh_listen *listen, enum oh_g711 law)
{
	listen->law = law;
}

/* The stream goes on from this packet. */
static void begin(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	listen->ssrc = packet->ssrc;
	listen->next_seq = packet->seq;
	listen->next_ts = packet->timestamp;
	listen->top_seq = packet->seq;
	listen->top_ts = packet->timestamp;
	listen->top_ns = arrival_ns;
	listen->seen[0] = 0;
	listen->seen[1] = 0;
	listen->usual = 0;
	set_base(listen, packet, arrival_ns);
	listen->restarted = listen->at > 0;
	listen->jump_seen = false;
	listen->quiet = 0;
	listen->moved_ns = arrival_ns;
	if (listen->started)
		return;
	listen->started = true;
	oh_lead_begin(&listen->lead, arrival_ns, packet->payload_len);
}

/* The sender began anew without a word: let go of what waits, and follow. */
static void begin_again(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	while (listen->waiting > 0)
		give_up_gap(listen, INT32_MAX);
	listen->counters.restarts++;
	begin(listen, packet, arrival_ns);
}

/* ---- a packet arrives ---- */

enum place { PLACE_HERE, PLACE_JUMP, PLACE_RESTART };

/* Does the packet belong to the stream as we know it? */
static enum place place_of(const struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	int     ahead = oh_seq_diff(packet->seq, listen->top_seq);
	int64_t explained = (arrival_ns - listen->top_ns) / NS_A_PACKET;

	if (packet->ssrc != listen->ssrc)
		return packet->content == OH_CARRIES_OTHER ? PLACE_JUMP : PLACE_RESTART;
	if (ahead < -OH_LISTEN_SEQ_JUMP || ahead > OH_LISTEN_SEQ_JUMP + explained)
		return PLACE_JUMP;
	if (packet->content == OH_CARRIES_OTHER)
		return PLACE_HERE; /* a digit's timestamp is that of its press */

	int64_t since_top = oh_ts_diff(packet->timestamp, listen->top_ts);
	int64_t to_fill = oh_ts_diff(packet->timestamp, listen->next_ts);
	int64_t passed = samples_of(arrival_ns - listen->base_ns) - listen->at;
	int64_t believable = OH_LISTEN_EARLY + (passed > 0 ? passed : 0);

	if (believable > OH_LISTEN_JUMP)
		believable = OH_LISTEN_JUMP;
	if (ahead <= 0) {
		bool older = since_top <= 0 && since_top >= -(int64_t)OH_LISTEN_SEQ_JUMP * OH_LISTEN_MAX_SAMPLES;

		return older && to_fill <= believable ? PLACE_HERE : PLACE_JUMP;
	}
	if (since_top < 0 || to_fill > believable)
		return ahead == 1 ? PLACE_RESTART : PLACE_JUMP;
	if (to_fill + (int64_t)packet->payload_len <= 0 && arrival_ns - listen->moved_ns > STUCK_NS)
		return PLACE_RESTART;
	return PLACE_HERE;
}

/* Note the sequence number; false where it has been here before. */
static bool is_new(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	int ahead = oh_seq_diff(packet->seq, listen->top_seq);

	if (ahead > 0) {
		for (; ahead > 0; ahead -= 63) { /* shift 128 bits by as many, 63 at a time */
			int by = ahead < 63 ? ahead : 63;

			listen->seen[1] = listen->seen[1] << by | listen->seen[0] >> (64 - by);
			listen->seen[0] <<= by;
		}
		listen->top_seq = packet->seq;
		listen->top_ns = arrival_ns;
		if (packet->content != OH_CARRIES_OTHER) {
			listen->top_ts = packet->timestamp;
			set_base(listen, packet, arrival_ns);
		}
		listen->seen[0] |= 1;
		return true;
	}

	unsigned back = (unsigned)-ahead;
	uint64_t bit = 1ull << (back % 64);

	assert(back < SEEN);
	if (listen->seen[back / 64] & bit)
		return false;
	listen->seen[back / 64] |= bit;
	if (ahead < 0)
		listen->counters.reordered++;
	return true;
}

static bool is_good(const struct oh_listen_packet *packet)
{
	if (packet->content == OH_CARRIES_OTHER)
		return true;
	return packet->payload_len > 0 && packet->payload_len <= OH_LISTEN_MAX_SAMPLES;
}

int oh_listen_put(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	if (!is_good(packet)) {
		listen->counters.bad++;
		return -EINVAL;
	}
	listen->now_ns = arrival_ns;
	if (!listen->started) {
		if (packet->content == OH_CARRIES_OTHER) { /* says nothing about where the sound is */
			listen->counters.received++;
			return 0;
		}
		begin(listen, packet, arrival_ns);
	}
	switch (place_of(listen, packet, arrival_ns)) {
	case PLACE_HERE:
		break;
	case PLACE_RESTART:
		begin_again(listen, packet, arrival_ns);
		break;
	case PLACE_JUMP:
		if (!listen->jump_seen || packet->seq != listen->jump_seq || packet->content == OH_CARRIES_OTHER) {
			listen->jump_seen = true;
			listen->jump_seq = (uint16_t)(packet->seq + 1);
			listen->counters.bad++;
			return -EPROTO;
		}
		begin_again(listen, packet, arrival_ns);
		break;
	}
	listen->jump_seen = false;
	if (!is_new(listen, packet, arrival_ns)) {
		listen->counters.duplicate++;
		return -EALREADY;
	}
	listen->counters.received++;
	if (!fits(listen, packet->content, packet->timestamp, packet->seq)) {
		if (listen->waiting == OH_LISTEN_SLOTS)
			give_up_gap(listen, INT32_MAX);
		if (!fits(listen, packet->content, packet->timestamp, packet->seq)) {
			store(listen, packet, arrival_ns);
			advance(listen, arrival_ns); /* what is missing may be overdue already */
			return 0;
		}
	}
	release(listen, packet->payload, packet->payload_len, packet->content, packet->timestamp, packet->seq);
	release_what_fits(listen);
	oh_lead_watch(&listen->lead, arrival_ns);
	return 0;
}

void oh_listen_tick(struct oh_listen *listen, int64_t now_ns)
{
	listen->now_ns = now_ns;
	advance(listen, now_ns);
}
