/* listen.c - the listening path's buffer: what the header says, packet by packet and tick by tick. */
#include "oh_listen.h"

#include <errno.h>
#include <string.h>

#include "listening.h"
#include "oh_amiss.h"

enum {
	AT_MOST_MS = 1000,             /* made up in one call */
	LONGEST_MS = 120,              /* packet there is */
	STUCK_NS = 500000000,          /* nothing but late packets for so long: the path's delay grew for good */
	FAR_BEHIND_MS = 200,           /* where so much is missing to what comes, ... */
	BEHIND = 4,                    /* ... so many late ones in a row, at the pace at which they were said, tell the same */
	SLOW_FOR = 64,                 /* packets over which a slow one is forgotten */
	NS_A_PACKET = 5000000,         /* shortest packets that a sequence number's advance is explained by */
};

_Static_assert(OH_LISTEN_SEQ_JUMP < OH_CAME, "whatever is not a jump is remembered");

static int64_t samples_of(const struct oh_listen *listen, int64_t ns)
{
	return ns / listen->ns_a_sample;
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
	if (OH_AMISS(first == NULL))
		listen->waiting = 0;
	return first;
}

/* How many wait is not known any more. */
static void forget_waiting(struct oh_listen *listen)
{
	for (size_t i = 0; i < OH_LISTEN_SLOTS; i++)
		listen->slots[i].used = false;
	listen->waiting = 0;
}

static int64_t oldest_waiting_ns(const struct oh_listen *listen)
{
	int64_t oldest = INT64_MAX - OH_LISTEN_WAIT_NS; /* never, and a wait later still a number */

	if (listen->waiting == 0)
		return oldest;
	for (size_t i = 0; i < OH_LISTEN_SLOTS; i++)
		if (listen->slots[i].used && listen->slots[i].arrival_ns < oldest)
			oldest = listen->slots[i].arrival_ns;
	return oldest;
}

static struct oh_listen_item item_of(const struct oh_listen_slot *slot)
{
	return (struct oh_listen_item){ slot->payload, slot->len, slot->samples, slot->content, slot->timestamp, slot->seq };
}

static void release_slot(struct oh_listen *listen, struct oh_listen_slot *slot)
{
	struct oh_listen_item item = item_of(slot);

	slot->used = false;
	listen->waiting--;
	listen->counters.waited_ns += (uint64_t)(listen->now_ns - slot->arrival_ns);
	oh_listen_release(listen, &item);
}

/* Does a packet continue the stream as it stands? */
static bool fits(const struct oh_listen *listen, enum oh_listen_content content, uint32_t timestamp, uint16_t seq)
{
	bool due = oh_listen_ahead(listen, timestamp) <= 0;

	if (oh_seq_diff(seq, listen->next_seq) <= 0 && due)
		return true;
	return seq == listen->next_seq || (content == OH_CARRIES_AUDIO && due);
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
	struct oh_listen_item  item;
	int64_t                ahead;

	if (slot == NULL)
		return;
	item = item_of(slot);
	ahead = oh_listen_ahead(listen, item.timestamp);
	if (item.content == OH_CARRIES_OTHER || ahead <= most) {
		if (item.content != OH_CARRIES_OTHER && ahead > 0)
			oh_listen_bridge(listen, &item, ahead);
		release_slot(listen, slot);
		release_what_fits(listen);
	} else {
		oh_listen_fill(listen, most, false);
	}
}

static void store(struct oh_listen *listen, const struct oh_listen_item *item, int64_t arrival_ns)
{
	size_t free_slot = 0;

	while (free_slot < OH_LISTEN_SLOTS && listen->slots[free_slot].used)
		free_slot++;
	if (OH_AMISS(free_slot == OH_LISTEN_SLOTS)) { /* one was made before */
		forget_waiting(listen);
		free_slot = 0;
	}

	struct oh_listen_slot *slot = &listen->slots[free_slot];

	slot->used = true;
	slot->arrival_ns = arrival_ns;
	slot->timestamp = item->timestamp;
	slot->seq = item->seq;
	slot->content = item->content;
	slot->samples = (uint16_t)item->samples;
	slot->len = item->content == OH_CARRIES_OTHER ? 0 : (uint16_t)item->len;
	memcpy(slot->payload, item->payload, slot->len);
	listen->waiting++;
}

/* ---- time ---- */

int64_t oh_listen_due_ns(const struct oh_listen *listen)
{
	if (!listen->started)
		return INT64_MAX;

	int64_t due = listen->base_ns + listen->at * listen->ns_a_sample;
	int64_t oldest = oldest_waiting_ns(listen);

	return (oldest < due ? oldest : due) + OH_LISTEN_WAIT_NS;
}

static void advance(struct oh_listen *listen, int64_t now_ns)
{
	if (!listen->started)
		return;

	while (oh_listen_due_ns(listen) <= now_ns) {
		if (listen->waiting == 0) {
			int64_t behind = samples_of(listen, now_ns - OH_LISTEN_WAIT_NS - listen->base_ns) - listen->at;
			int64_t most = (int64_t)AT_MOST_MS * listen->per_ms;

			if (behind > most) /* nobody called for long */
				listen->base_ns += (behind - most) * listen->ns_a_sample;
			oh_listen_fill(listen, OH_LISTEN_FILL_MS * (int64_t)listen->per_ms, false);
		} else if (oldest_waiting_ns(listen) + OH_LISTEN_WAIT_NS <= now_ns) {
			give_up_gap(listen, INT32_MAX);
		} else {
			give_up_gap(listen, OH_LISTEN_FILL_MS * (int64_t)listen->per_ms);
		}
	}
}

/*
 * Take the newest packet's delay as the path's, or that of the slowest of late, within bounds. A packet leaves when its
 * last sample was said; of the next one's length no more is known than what has been usual.
 */
static void set_base(struct oh_listen *listen, const struct oh_listen_item *item, int64_t arrival_ns, bool first)
{
	int64_t start = listen->at + oh_listen_ahead(listen, item->timestamp);
	int32_t n = item->content == OH_CARRIES_AUDIO ? (int32_t)item->samples : listen->usual;

	listen->usual = n > listen->usual ? n : listen->usual - (listen->usual - n) / 16;

	int64_t newest_ns = arrival_ns - (start + n - listen->usual) * listen->ns_a_sample;
	int64_t slower_ns = listen->base_ns - newest_ns; /* than the newest one was */

	slower_ns -= slower_ns / SLOW_FOR;
	if (first || slower_ns < 0)
		slower_ns = 0;
	listen->base_ns = newest_ns + (slower_ns < OH_LISTEN_SLOW_NS ? slower_ns : OH_LISTEN_SLOW_NS);

	/* A packet from long ago must not stop the clock for as long. */
	int64_t latest_ns = arrival_ns + STUCK_NS - listen->at * listen->ns_a_sample;

	if (listen->base_ns > latest_ns)
		listen->base_ns = latest_ns;
}

/* ---- beginnings ---- */

static void take_rates(struct oh_listen *listen)
{
	enum oh_codec codec = listen->decoder.codec;

	listen->ticks = (int32_t)oh_codec_ticks(codec);
	listen->per_ms = (int32_t)(oh_codec_rate_hz(codec) / 1000u);
	listen->ns_a_sample = 1000000 / listen->per_ms;
}

void oh_listen_init(struct oh_listen *listen, oh_listen_out *out, void *arg, uint32_t seed)
{
	memset(listen, 0, sizeof(*listen));
	(void)oh_decoder_open(&listen->decoder, OH_CODEC_ULAW);
	take_rates(listen);
	listen->out = out;
	listen->out_arg = arg;
	oh_lead_init(&listen->lead);
	oh_conceal_init(&listen->conceal, seed);
}

void oh_listen_close(struct oh_listen *listen)
{
	oh_decoder_close(&listen->decoder);
}

/* What counts samples counts those of the new rate from here on. */
static void carry_over(struct oh_listen *listen, int32_t before)
{
	struct oh_listen_counters *counters = &listen->counters;
	uint64_t *const            counted[] = { &counters->heard_samples,     &counters->recovered_samples,
		                                 &counters->concealed_samples, &counters->missing_samples,
		                                 &counters->comfort_samples,   &counters->skipped_samples };

	for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++)
		*counted[i] = *counted[i] * (uint64_t)listen->per_ms / (uint64_t)before;
	listen->at = listen->at * listen->per_ms / before;
	listen->usual = listen->usual * listen->per_ms / before;
	listen->quiet = listen->quiet * (uint32_t)listen->per_ms / (uint32_t)before;
	oh_conceal_rate(&listen->conceal, (uint32_t)listen->per_ms * 1000u);
	if (!listen->started) /* no voice yet that could be led over */
		listen->conceal.gone = 0;
}

void oh_listen_codec(struct oh_listen *listen, struct oh_decoder *decoder)
{
	struct oh_decoder old = listen->decoder;
	int32_t           per_ms = listen->per_ms, ticks = listen->ticks;

	while (listen->waiting > 0)
		give_up_gap(listen, INT32_MAX);
	listen->decoder = *decoder;
	*decoder = old;
	take_rates(listen);
	if (listen->per_ms != per_ms)
		carry_over(listen, per_ms);
	if (listen->per_ms * listen->ticks != per_ms * ticks)
		listen->new_clock = listen->started;
}

/* The stream goes on from this packet. */
static void begin(struct oh_listen *listen, const struct oh_listen_item *item, uint32_t ssrc, int64_t arrival_ns)
{
	listen->ssrc = ssrc;
	listen->next_seq = item->seq;
	listen->next_ts = item->timestamp;
	oh_came_init(&listen->came, item->seq);
	listen->top_ts = item->timestamp;
	listen->top_ns = arrival_ns;
	listen->usual = 0;
	set_base(listen, item, arrival_ns, true);
	listen->restarted = listen->at > 0;
	listen->new_clock = false;
	listen->jump_seen = false;
	listen->quiet = 0;
	listen->moved_ns = arrival_ns;
	if (listen->started)
		return;
	listen->started = true;
	oh_lead_begin(&listen->lead, arrival_ns, (int64_t)item->samples * listen->ns_a_sample);
}

/* The sender began anew without a word: let go of what waits, and follow. */
static void begin_again(struct oh_listen *listen, const struct oh_listen_item *item, uint32_t ssrc, int64_t arrival_ns)
{
	while (listen->waiting > 0)
		give_up_gap(listen, INT32_MAX);
	listen->counters.restarts++;
	if (ssrc != listen->ssrc)
		oh_decoder_reset(&listen->decoder);
	begin(listen, item, ssrc, arrival_ns);
}

/* ---- a packet arrives ---- */

enum place { PLACE_HERE, PLACE_JUMP, PLACE_RESTART };

/* Is a packet in its order late, all of it? */
static bool is_behind(const struct oh_listen *listen, const struct oh_listen_item *item)
{
	return item->content != OH_CARRIES_OTHER && oh_came_ahead(&listen->came, item->seq) > 0 &&
	       oh_listen_ahead(listen, item->timestamp) + (int64_t)item->samples <= 0;
}

/* Have those before it been late too, and come as slowly as they were said? After a stall what was held up comes faster. */
static bool stays_behind(const struct oh_listen *listen, const struct oh_listen_item *item, int64_t arrival_ns)
{
	int64_t said_ns = oh_listen_between(listen, item->timestamp, listen->behind_ts) * listen->ns_a_sample;

	return oh_listen_ahead(listen, item->timestamp) <= -FAR_BEHIND_MS * (int64_t)listen->per_ms &&
	       listen->behind >= BEHIND && listen->behind_ns >= listen->moved_ns &&
	       8 * (arrival_ns - listen->behind_ns) >= 7 * said_ns;
}

/* Note whether packets in their order are late, one after the other. */
static void watch_behind(struct oh_listen *listen, const struct oh_listen_item *item, int64_t arrival_ns)
{
	if (oh_came_ahead(&listen->came, item->seq) <= 0)
		return;
	if (!is_behind(listen, item)) {
		listen->behind = 0;
		return;
	}
	if (listen->behind == 0 || listen->behind_ns < listen->moved_ns) {
		listen->behind = 0;
		listen->behind_ns = arrival_ns;
		listen->behind_ts = item->timestamp;
	}
	listen->behind++;
}

/* Does the packet belong to the stream as we know it? */
static enum place place_of(const struct oh_listen *listen, const struct oh_listen_item *item, uint32_t ssrc, int64_t arrival_ns)
{
	int     ahead = oh_came_ahead(&listen->came, item->seq);
	int64_t explained = (arrival_ns - listen->top_ns) / NS_A_PACKET;

	if (ssrc != listen->ssrc || (listen->new_clock && item->content != OH_CARRIES_OTHER))
		return item->content == OH_CARRIES_OTHER ? PLACE_JUMP : PLACE_RESTART;
	if (ahead < -OH_LISTEN_SEQ_JUMP || ahead > OH_LISTEN_SEQ_JUMP + explained)
		return PLACE_JUMP;
	if (item->content == OH_CARRIES_OTHER)
		return PLACE_HERE; /* a digit's timestamp is that of its press */

	const int64_t per_ms = listen->per_ms;
	int64_t       since_top = oh_listen_between(listen, item->timestamp, listen->top_ts);
	int64_t       to_fill = oh_listen_ahead(listen, item->timestamp);
	int64_t       passed = samples_of(listen, arrival_ns - listen->base_ns) - listen->at;
	int64_t       believable = OH_LISTEN_EARLY_MS * per_ms + (passed > 0 ? passed : 0);

	if (believable > OH_LISTEN_JUMP_MS * per_ms)
		believable = OH_LISTEN_JUMP_MS * per_ms;
	if (ahead <= 0) {
		bool older = since_top <= 0 && since_top >= -(int64_t)OH_LISTEN_SEQ_JUMP * LONGEST_MS * per_ms;

		return older && to_fill <= believable ? PLACE_HERE : PLACE_JUMP;
	}
	if (since_top < 0 || to_fill > believable)
		return ahead == 1 ? PLACE_RESTART : PLACE_JUMP;
	if (is_behind(listen, item) &&
	    (arrival_ns - listen->moved_ns > STUCK_NS || stays_behind(listen, item, arrival_ns)))
		return PLACE_RESTART;
	return PLACE_HERE;
}

/* Note the sequence number; false where it has been here before. */
static bool is_new(struct oh_listen *listen, const struct oh_listen_item *item, int64_t arrival_ns)
{
	int ahead = oh_came_ahead(&listen->came, item->seq);

	if (ahead > 0) {
		listen->top_ns = arrival_ns;
		if (item->content != OH_CARRIES_OTHER) {
			listen->top_ts = item->timestamp;
			set_base(listen, item, arrival_ns, false);
		}
	}
	if (OH_AMISS(ahead <= -OH_CAME) || !oh_came_take(&listen->came, item->seq))
		return false;
	listen->counters.reordered += ahead < 0;
	return true;
}

/* Is it a packet that can be worked with? `item` is filled where it is. */
static bool is_good(const struct oh_listen *listen, const struct oh_listen_packet *packet, struct oh_listen_item *item)
{
	int samples = 0;

	if (packet->content == OH_CARRIES_AUDIO)
		samples = oh_codec_samples(listen->decoder.codec, packet->payload, packet->payload_len);
	else if (packet->content == OH_CARRIES_COMFORT &&
	         (packet->payload_len == 0 || packet->payload_len > OH_CODEC_PAYLOAD_MAX))
		return false;
	*item = (struct oh_listen_item){ packet->payload,   packet->payload_len, samples > 0 ? (size_t)samples : 0,
		               packet->content,   packet->timestamp,   packet->seq };
	return samples >= 0;
}

int oh_listen_put(struct oh_listen *listen, const struct oh_listen_packet *packet, int64_t arrival_ns)
{
	struct oh_listen_item item;

	if (!is_good(listen, packet, &item)) {
		listen->counters.bad++;
		return -EINVAL;
	}
	listen->now_ns = arrival_ns;
	if (!listen->started) {
		if (item.content == OH_CARRIES_OTHER) { /* says nothing about where the sound is */
			listen->counters.received++;
			return 0;
		}
		begin(listen, &item, packet->ssrc, arrival_ns);
	}
	switch (place_of(listen, &item, packet->ssrc, arrival_ns)) {
	case PLACE_HERE:
		watch_behind(listen, &item, arrival_ns);
		break;
	case PLACE_RESTART:
		begin_again(listen, &item, packet->ssrc, arrival_ns);
		break;
	case PLACE_JUMP:
		if (!listen->jump_seen || item.seq != listen->jump_seq || item.content == OH_CARRIES_OTHER) {
			listen->jump_seen = true;
			listen->jump_seq = (uint16_t)(item.seq + 1);
			listen->counters.bad++;
			return -EPROTO;
		}
		begin_again(listen, &item, packet->ssrc, arrival_ns);
		break;
	}
	listen->jump_seen = false;
	if (!is_new(listen, &item, arrival_ns)) {
		listen->counters.duplicate++;
		return -EALREADY;
	}
	listen->counters.received++;
	if (!fits(listen, item.content, item.timestamp, item.seq)) {
		if (listen->waiting == OH_LISTEN_SLOTS)
			give_up_gap(listen, INT32_MAX);
		if (!fits(listen, item.content, item.timestamp, item.seq)) {
			store(listen, &item, arrival_ns);
			advance(listen, arrival_ns); /* what is missing may be overdue already */
			return 0;
		}
	}
	oh_listen_release(listen, &item);
	release_what_fits(listen);
	oh_lead_watch(&listen->lead, arrival_ns);
	return 0;
}

void oh_listen_tick(struct oh_listen *listen, int64_t now_ns)
{
	listen->now_ns = now_ns;
	advance(listen, now_ns);
}
