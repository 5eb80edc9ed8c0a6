/* playout.c - what the bridge path's buffer plays at each pull. */
#include "playout.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oh_rtp.h"

#define MS 1000000ll

enum {
	BLOCK_MS = 20,      /* decided at a time */
	PAST = OH_EXPAND_PAST,
	HURRY_MS = 40,      /* so far off the pace changes at every pull, else at every second */
	HUSH_MS = 10,       /* from a voice to the noise of a chosen silence */
	JOIN_MS = 3,        /* from sound that was made up into the real one */
	WIN_MS = 20,        /* most that is put in while a packet is waited for; then sound is made up, and fades */
	FLOOR_EACH = 4,     /* of so many packets one is looked at for the level of the background */
	QUIET_LEAST = 48,   /* -57 dBov */
	QUIET_MOST = 400,   /* -38 dBov */
	HOLD_MS = 40,       /* a gap that may yet be filled is waited for so much longer than it is itself, and a pull */
	UNREST_US = 500,    /* a network is restless whose packets' transits differ by so much on average */
	OVERDUE_MS = 15,    /* a packet is, that has taken so much more than usual */
};

_Static_assert(sizeof(struct oh_playout) <= OH_PLAYOUT_BYTES, "as the header says");
_Static_assert(PAST + 2 * OH_CODEC_SAMPLES_MAX + 4 * OH_STRETCH_MOST + 320 <= OH_PLAYOUT_SOUND, "always room for a packet");

static uint32_t samples_of_ms(const struct oh_playout *playout, uint32_t ms)
{
	return ms * playout->rate_hz / 1000;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

int oh_playout_open(struct oh_playout **playout, enum oh_codec codec, uint32_t seed)
{
	struct oh_playout *made = calloc(1, sizeof(*made));

	if (!made || oh_decoder_open(&made->decoder, codec) < 0) {
		free(made);
		return -ENOMEM;
	}
	made->rate_hz = oh_codec_rate_hz(codec);
	made->ticks = oh_codec_ticks(codec);
	made->sample_ns = 1000 * MS / made->rate_hz;
	made->get_ns = INT64_MIN;
	made->pull_ns = 20 * MS;
	made->quiet = made->never = true;
	made->at = made->end = PAST;
	made->floor = INT32_MAX;
	oh_comfort_init(&made->comfort, seed);
	oh_delay_init(&made->delay);
	oh_waiting_init(&made->waiting);
	oh_gap_init(&made->gaps);
	*playout = made;
	return 0;
}

void oh_playout_close(struct oh_playout *playout)
{
	if (!playout)
		return;
	oh_decoder_close(&playout->decoder);
	free(playout);
}

/* ---- making up ---- */

/* The background's level as a comfort noise packet would say it. */
static unsigned floor_level(const struct oh_playout *playout)
{
	return playout->floor == INT32_MAX ? OH_COMFORT_USUAL
	                                   : (unsigned)(20.0f * log10f(32768.0f / ((float)playout->floor + 0.5f)));
}

static void begin_making(struct oh_playout *playout)
{
	if (playout->made)
		return;
	if (!playout->said)
		oh_comfort_level(&playout->comfort, floor_level(playout));
	oh_expand_begin(&playout->expand, playout->sound + playout->end, playout->rate_hz);
	playout->made = true;
}

/* n more samples that no packet holds; `next`: bytes of the packet behind them, or NULL. */
static void make_up(struct oh_playout *playout, uint32_t n, const uint8_t *next, size_t next_len)
{
	int16_t *out = playout->sound + playout->end;
	int      known = 0;

	if (!playout->made && n % (playout->rate_hz / 400) == 0) /* codecs with memory count in 2.5 ms */
		known = oh_decode_missing(&playout->decoder, next, next_len, out, n);
	if (known <= 0) {
		begin_making(playout);
		oh_expand_make(&playout->expand, &playout->comfort, out, n);
	}
	playout->end += n;
	oh_sound_add(playout, OH_MADE_UP, n, 0);
}

/*
 * The same for a gap of `owed` samples before the first packet that waits, of which `needed` are needed now: all of it at
 * once where that packet carries a copy of the last one that is missing. How many.
 */
static uint32_t make_up_before(struct oh_playout *playout, uint32_t owed, uint32_t needed)
{
	uint8_t        gathered[OH_CODEC_PAYLOAD_MAX];
	const uint8_t *bytes = oh_waiting_bytes(&playout->waiting, gathered);
	size_t         len = oh_waiting_first(&playout->waiting)->len;

	if (owed <= OH_CODEC_SAMPLES_MAX && oh_codec_copied(playout->decoder.codec, bytes, len) > 0) {
		make_up(playout, owed, bytes, len);
		playout->copied = true;
		return owed;
	}
	make_up(playout, least(owed, needed), NULL, 0);
	return least(owed, needed);
}

static void be_quiet(struct oh_playout *playout, uint32_t n)
{
	int16_t *out = playout->sound + playout->end;

	if (!playout->dozes || playout->made || oh_decode_missing(&playout->decoder, NULL, 0, out, n) <= 0) {
		begin_making(playout);
		oh_expand_hush(&playout->expand, samples_of_ms(playout, HUSH_MS));
		oh_expand_make(&playout->expand, &playout->comfort, out, n);
	}
	playout->end += n;
	oh_sound_add(playout, OH_NOISE, n, 0);
}

/* ---- packets ---- */

/*
 * Real sound behind made-up one: faded into at once. (To shift it until it fits, or to go on making up until the two meet,
 * sounds worse by PESQ: what is real should be heard, and in its time.)
 */
static void join(struct oh_playout *playout, const int16_t *real, uint32_t n, int64_t arrival_ns)
{
	int16_t  made[OH_STRETCH_MOST];
	uint32_t window = least(n, samples_of_ms(playout, JOIN_MS));
	int16_t *out = playout->sound + playout->end;

	oh_expand_make(&playout->expand, &playout->comfort, made, window);
	oh_stretch_fade(out, made, real, window);
	memcpy(out + window, real + window, (n - window) * sizeof(*out));
	playout->end += n;
	oh_sound_add(playout, OH_FROM_PACKET, n, arrival_ns);
	playout->made = false;
}

static void learn_floor(struct oh_playout *playout, const int16_t *pcm, uint32_t n)
{
	if (playout->next_seq % FLOOR_EACH != 0)
		return; /* the background changes slowly */

	int32_t level = oh_stretch_level(pcm, n);

	if (level < playout->floor)
		playout->floor = level;
	else if (playout->floor < INT32_MAX)
		playout->floor += playout->floor / 64 + 1; /* doubles in some four seconds */
}

/* The first packet's number is passed: those before it that did not come are lost. */
static void pass(struct oh_playout *playout, const struct oh_waiting_packet *packet)
{
	int skipped = oh_seq_diff(packet->seq, playout->next_seq);

	if (packet->fresh || playout->never)
		skipped = 0;
	if (skipped < 0)
		return;
	playout->counters.lost += (uint64_t)skipped;
	playout->next_seq = (uint16_t)(packet->seq + 1);
}

/* Decode the first packet behind what is ready; what of it lies before end_at is left out. */
static void decode_first(struct oh_playout *playout)
{
	struct oh_waiting_packet packet = *oh_waiting_first(&playout->waiting);
	uint8_t                  gathered[OH_CODEC_PAYLOAD_MAX];
	int16_t                  apart[OH_CODEC_SAMPLES_MAX];
	const uint8_t           *bytes = oh_waiting_bytes(&playout->waiting, gathered);
	int64_t                  before = playout->end_at - packet.at;
	int16_t                 *out = playout->sound + playout->end;
	bool                     plain = before <= 0 && !playout->made && !playout->joint;
	int                      n;

	if (packet.fresh)
		oh_decoder_reset(&playout->decoder);
	n = oh_decode(&playout->decoder, bytes, packet.len, plain ? out : apart);
	oh_waiting_drop(&playout->waiting);
	if (n < 0) { /* broken: its place will be made up */
		playout->counters.bad++;
		return;
	}
	pass(playout, &packet);
	playout->never = false;
	if (before >= n)
		return;
	if (before < 0)
		before = 0;
	if (plain) {
		playout->end += (uint32_t)n;
		oh_sound_add(playout, OH_FROM_PACKET, (uint32_t)n, packet.arrival_ns);
	} else {
		if (playout->joint)
			begin_making(playout);
		if (playout->made) {
			join(playout, apart + before, (uint32_t)(n - before), packet.arrival_ns);
		} else {
			memcpy(out, apart + before, (size_t)(n - before) * sizeof(*out));
			playout->end += (uint32_t)(n - before);
			oh_sound_add(playout, OH_FROM_PACKET, (uint32_t)(n - before), packet.arrival_ns);
		}
	}
	learn_floor(playout, playout->sound + playout->end - (n - before), (uint32_t)(n - before));
	playout->counters.overdue += playout->waited;
	playout->end_at = packet.at + n;
	playout->quiet = playout->dozes = oh_codec_falls_silent(playout->decoder.codec, packet.len);
	playout->joint = playout->waited = playout->copied = playout->said = false;
	playout->credit = 0;
}

static void take_comfort(struct oh_playout *playout)
{
	const struct oh_waiting_packet *packet = oh_waiting_first(&playout->waiting);
	uint8_t                         gathered[OH_CODEC_PAYLOAD_MAX];

	pass(playout, packet);
	playout->never = false;
	if (packet->kind == OH_WAITING_COMFORT) {
		oh_comfort_level(&playout->comfort, oh_waiting_bytes(&playout->waiting, gathered)[0] & 0x7fu);
		playout->said = true;
	}
	playout->quiet = true;
	playout->dozes = false;
	oh_waiting_drop(&playout->waiting);
}

/* ---- delay ---- */

/* How far the next sample to give out is behind the sender's timeline. */
static int64_t lag_ns(const struct oh_playout *playout, int64_t now_ns)
{
	return now_ns - (playout->end_at - (int64_t)oh_sound_ready(playout)) * playout->sample_ns;
}

/* Samples that this lag is too long by; below 0: too short. */
static int64_t excess(const struct oh_playout *playout, int64_t now_ns)
{
	return (lag_ns(playout, now_ns) - oh_delay_wise_ns(&playout->delay)) / playout->sample_ns;
}

/* Far too much waits, as after a stall of seconds: leave out the oldest. */
static void catch_up(struct oh_playout *playout, int64_t now_ns)
{
	const struct oh_waiting_packet *first;
	int64_t                         wise_ns = oh_delay_wise_ns(&playout->delay);

	if (playout->newest_ns > wise_ns)
		wise_ns = playout->newest_ns;
	if (playout->quiet || lag_ns(playout, now_ns) - wise_ns <= OH_PLAYOUT_FAR_NS)
		return;
	while ((first = oh_waiting_first(&playout->waiting)) != NULL &&
	       now_ns - first->at * playout->sample_ns > wise_ns) {
		if (first->kind == OH_WAITING_AUDIO)
			playout->counters.discarded++;
		playout->end_at = first->at + first->n;
		playout->next_seq = (uint16_t)(first->seq + 1);
		playout->joint = true;
		oh_waiting_drop(&playout->waiting);
	}
}

/* ---- a block ---- */

static const float odds_least = 0.25f; /* that a gap is filled, for waiting to pay */

/* Is it worth to wait on for the gap before the first packet, made up for in full and `held` samples more? */
static bool is_worth_waiting(const struct oh_playout *playout, uint32_t held, int64_t now_ns)
{
	int64_t left_ns = HOLD_MS * MS - held * playout->sample_ns;
	bool    restless = playout->unrest_ns >= UNREST_US * 1000ll;

	return left_ns > 0 && !playout->copied &&
	       oh_gap_odds(&playout->gaps, playout->next_seq, now_ns, left_ns, restless) >= odds_least;
}

/*
 * Have `wanted` samples ready if packets hold them, and deal with gaps where not even `needed` are.
 */
static void fill(struct oh_playout *playout, uint32_t needed, uint32_t wanted, int64_t now_ns)
{
	const struct oh_waiting_packet *first;

	while (oh_sound_ready(playout) < wanted && (first = oh_waiting_first(&playout->waiting)) != NULL) {
		bool    short_of = oh_sound_ready(playout) < needed;
		int64_t gap = first->at - playout->end_at;

		oh_sound_room(playout);
		if (first->kind != OH_WAITING_AUDIO) {
			if (!short_of)
				return;
			take_comfort(playout);
		} else if (playout->quiet || first->fresh) {
			if (!short_of)
				return;
			playout->quiet = true;
			if (now_ns - first->at * playout->sample_ns < oh_delay_wise_ns(&playout->delay))
				return; /* not yet */
			playout->end_at = first->at;
			playout->next_seq = first->seq;
			decode_first(playout);
		} else if (gap <= 0 || playout->joint) {
			if (gap > 0)
				playout->end_at = first->at;
			decode_first(playout);
		} else if (!short_of) {
			return; /* it may come yet */
		} else if (first->seq == playout->next_seq) {
			playout->quiet = true; /* nothing is missing: the sender paused */
			playout->dozes = false;
		} else {
			/* made up for as long as the gap is, but not given up before: until then it may yet come */
			uint32_t owed = (uint32_t)(gap < INT32_MAX ? gap : INT32_MAX);

			if (playout->credit < owed) {
				playout->credit += make_up_before(playout, owed - playout->credit, needed - oh_sound_ready(playout));
				playout->waited = true;
			} else if (is_worth_waiting(playout, playout->credit - owed, now_ns)) {
				uint32_t more = needed - oh_sound_ready(playout);

				make_up(playout, more, NULL, 0);
				playout->credit += more;
				playout->waited = true;
			} else {
				playout->owing |= playout->credit > owed;
				playout->copied = false;
				playout->credit -= owed;
				playout->waited = playout->credit > 0;
				playout->end_at += owed;
			}
		}
	}
}

/* What is quieter than this is between words. */
static int32_t quiet_level(const struct oh_playout *playout)
{
	return playout->floor < QUIET_LEAST / 2 ? QUIET_LEAST : playout->floor < QUIET_MOST / 2 ? 2 * playout->floor : QUIET_MOST;
}

/*
 * Least likeness that a change of pace needs; above 1 it waits for a pause between words. Less where there is more to
 * change, the longer it had to wait, and where delay is owed.
 */
static float likeness_needed(const struct oh_playout *playout, int64_t off)
{
	return 1.3f - 0.01f * (float)(off * playout->sample_ns / MS) - 0.02f * (float)playout->tries -
	       (playout->owing ? 0.3f : 0.0f);
}

static void pace_changed(struct oh_playout *playout, size_t by)
{
	playout->tries = by > 0 ? 0 : playout->tries + 1;
	playout->rested = by == 0;
}

static void speed_up(struct oh_playout *playout, uint32_t needed, int64_t off)
{
	uint32_t spare = oh_sound_ready(playout) > needed ? oh_sound_ready(playout) - needed : 0;
	size_t   by;

	by = oh_stretch_shorten(playout->sound + playout->at, oh_sound_ready(playout), playout->rate_hz,
	                        off < (int64_t)spare ? (size_t)off : spare, quiet_level(playout),
	                        likeness_needed(playout, off));
	playout->end -= (uint32_t)by;
	oh_sound_shorter(playout, (uint32_t)by);
	pace_changed(playout, by);
}

static size_t slow_down(struct oh_playout *playout, size_t most, float likeness)
{
	size_t by;

	if (oh_sound_ready(playout) > OH_CODEC_SAMPLES_MAX) /* pulled 10 ms at a time, more would be put in than is played */
		return 0;
	oh_sound_room(playout);
	by = oh_stretch_lengthen(playout->sound + playout->at, oh_sound_ready(playout), playout->rate_hz, most, quiet_level(playout),
	                         likeness);

	playout->end += (uint32_t)by;
	oh_sound_longer(playout, (uint32_t)by);
	return by;
}

static void change_pace(struct oh_playout *playout, uint32_t needed, int64_t now_ns)
{
	int64_t  off = excess(playout, now_ns), least_off = samples_of_ms(playout, 5) / 2;
	int64_t  hurry = samples_of_ms(playout, HURRY_MS);
	uint32_t longest = samples_of_ms(playout, 15);

	if (off < least_off)
		playout->owing = false;
	if (playout->quiet || (off < least_off && off > -least_off))
		return;
	if (!playout->rested && !playout->owing && off < hurry && off > -hurry) {
		playout->rested = true;
		return;
	}
	if (off > 0) {
		uint32_t wanted = needed + (off < (int64_t)longest ? (uint32_t)off : longest);

		fill(playout, needed, wanted > 2 * longest ? wanted : 2 * longest, now_ns);
		speed_up(playout, needed, off);
	} else {
		pace_changed(playout, slow_down(playout, -off < (int64_t)longest ? (size_t)-off : longest,
		                                likeness_needed(playout, -off)));
	}
}

/* Nothing is there beyond this pull, or not even for it, and it should be: win time before sound has to be made up. */
static void win_time(struct oh_playout *playout, uint32_t needed)
{
	int64_t  taken_ns = playout->get_ns - playout->end_at * playout->sample_ns; /* by the packet that comes next, so far */
	uint32_t longest = samples_of_ms(playout, 15);

	if (playout->quiet || playout->made || oh_waiting_first(&playout->waiting) || oh_sound_ready(playout) >= needed + longest ||
	    oh_sound_ready(playout) < needed / 2 || playout->credit >= samples_of_ms(playout, WIN_MS))
		return;
	if (oh_sound_ready(playout) >= needed && taken_ns < playout->usual_ns + OVERDUE_MS * MS)
		return;
	playout->credit += (uint32_t)slow_down(playout, longest, 0.6f);
}

static void get_block(struct oh_playout *playout, int16_t *out, uint32_t n, int64_t now_ns)
{
	if (playout->started) {
		catch_up(playout, now_ns);
		fill(playout, n, n, now_ns);
		change_pace(playout, n, now_ns);
		win_time(playout, n);
	}
	if (oh_sound_ready(playout) < n) {
		uint32_t missing = n - oh_sound_ready(playout);

		oh_sound_room(playout);
		if (playout->quiet) {
			be_quiet(playout, missing);
		} else {
			make_up(playout, missing, NULL, 0);
			playout->credit += missing;
			playout->waited = true;
		}
	}
	memcpy(out, playout->sound + playout->at, n * sizeof(*out));
	playout->at += n;
	oh_sound_out(playout, n, playout->get_ns);
}

/* What came before the first pull of all could not be measured by pulls: learn anew, from the newest packet and this one. */
static void learn_first(struct oh_playout *playout, int64_t now_ns)
{
	int64_t arrival_ns = playout->newest_ns + playout->top_at * playout->sample_ns;
	int64_t transit_ns = playout->newest_ns + (now_ns - arrival_ns) % playout->pull_ns;

	if (!playout->delay.started)
		return;
	oh_delay_init(&playout->delay);
	oh_delay_heard(&playout->delay, transit_ns, transit_ns, playout->pull_ns, playout->pull_ns);
}

void oh_playout_get(struct oh_playout *playout, int16_t *out, size_t n, int64_t now_ns)
{
	uint32_t block = samples_of_ms(playout, BLOCK_MS);

	if (playout->get_ns == INT64_MIN)
		learn_first(playout, now_ns);
	if (now_ns != playout->get_ns) { /* the sound of one moment may be asked for in several pieces */
		if (playout->given_ns > 0)
			playout->pull_ns = playout->given_ns;
		playout->get_ns = now_ns;
		playout->given_ns = 0;
	}
	while (n > 0) {
		uint32_t part = n < block ? (uint32_t)n : block;

		get_block(playout, out, part, now_ns + playout->given_ns);
		out += part;
		n -= part;
		playout->given_ns += part * playout->sample_ns;
	}
}

const struct oh_playout_counters *oh_playout_counters(const struct oh_playout *playout)
{
	return &playout->counters;
}

int32_t oh_playout_delay_ms(const struct oh_playout *playout)
{
	return playout->quiet ? 0 : (int32_t)((lag_ns(playout, playout->get_ns + playout->pull_ns) - playout->usual_ns) / MS);
}

int32_t oh_playout_target_ms(const struct oh_playout *playout)
{
	return playout->delay.started ? (int32_t)((oh_delay_wise_ns(&playout->delay) - playout->usual_ns) / MS) : 0;
}
