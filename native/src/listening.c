/* listening.c - sound out of the listening path's buffer: what was said, and what is made up where that is missing. */
#include "listening.h"

#include "oh_amiss.h"

enum {
	QUIET_COMFORT_MS = 10 * 1000, /* after a comfort noise packet, silence without further packets ... */
	QUIET_TOLD_MS = 1000,         /* ... after one of Opus that tells of silence: another comes every 400 ms ... */
	QUIET_OTHER_MS = 200,         /* ... and after a digit's packet */
};

/* ---- frames out ---- */

static void emit(struct oh_listen *listen, enum oh_listen_kind kind, const int16_t *pcm, size_t n, int64_t at,
                 uint32_t timestamp)
{
	struct oh_listen_frame frame = {
		.pcm = pcm,
		.n = n,
		.at = at,
		.timestamp = timestamp,
		.rate_hz = (uint32_t)listen->per_ms * 1000u,
		.kind = kind,
		.restarted = listen->restarted && kind != OH_LATE,
	};

	if (OH_AMISS(n == 0 || n > OH_LISTEN_MAX_SAMPLES))
		return;
	if (kind != OH_LATE)
		listen->restarted = false;
	listen->out(listen->out_arg, &frame);
}

static void emit_next(struct oh_listen *listen, enum oh_listen_kind kind, const int16_t *pcm, size_t n)
{
	emit(listen, kind, pcm, n, listen->at, listen->next_ts);
	listen->at += (int64_t)n;
	listen->next_ts += (uint32_t)n * (uint32_t)listen->ticks;
	listen->moved_ns = listen->now_ns;
	if (kind != OH_SKIPPED)
		oh_lead_gave(&listen->lead, (int64_t)n * listen->ns_a_sample);
}

/* Make up n samples of a voice that goes on: as the codec knows how, or else as we do. */
static void conceal(struct oh_listen *listen, size_t n)
{
	if (oh_decode_missing(&listen->decoder, NULL, 0, listen->pcm, n) > 0)
		oh_conceal_gave(&listen->conceal, listen->pcm, n);
	else
		oh_conceal_fill(&listen->conceal, listen->pcm, n);
}

void oh_listen_fill(struct oh_listen *listen, int64_t n, bool chosen)
{
	const size_t most = OH_LISTEN_FILL_MS * (size_t)listen->per_ms;

	while (n > 0) {
		size_t              now = n < (int64_t)most ? (size_t)n : most;
		size_t              left = oh_conceal_left(&listen->conceal);
		enum oh_listen_kind kind = OH_MISSING;

		if (chosen || listen->quiet > 0) {
			kind = OH_COMFORT;
			oh_conceal_hush(&listen->conceal);
			listen->quiet -= listen->quiet < now ? listen->quiet : (uint32_t)now;
			listen->counters.comfort_samples += now;
		} else if (left > 0) {
			kind = OH_CONCEALED;
			now = now < left ? now : left;
			listen->counters.concealed_samples += now;
		} else {
			listen->counters.missing_samples += now;
		}
		if (kind == OH_CONCEALED)
			conceal(listen, now);
		else
			oh_conceal_fill(&listen->conceal, listen->pcm, now);
		emit_next(listen, kind, listen->pcm, now);
		n -= (int64_t)now;
	}
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

/* Sound that was said, in its turn: to the reader, unless it is spared it. */
static void release_sound(struct oh_listen *listen, int16_t *pcm, size_t n)
{
	bool skipped = oh_lead_skips(&listen->lead, pcm, n, (int64_t)n * listen->ns_a_sample);

	listen->quiet = 0;
	oh_conceal_heard(&listen->conceal, pcm, n);
	if (skipped) {
		listen->counters.skipped_samples += n;
		emit_next(listen, OH_SKIPPED, pcm, n);
	} else {
		listen->counters.heard_samples += n;
		emit_next(listen, OH_HEARD, pcm, n);
	}
}

static void release_audio(struct oh_listen *listen, const struct oh_listen_item *item, bool in_turn)
{
	struct oh_decoder *decoder = &listen->decoder;
	int64_t            ahead = oh_listen_ahead(listen, item->timestamp);
	size_t             late = 0;
	int                n = in_turn ? oh_decode(decoder, item->payload, item->len, listen->pcm)
	                               : oh_decode_aside(decoder, item->payload, item->len, listen->pcm);

	if (n != (int)item->samples) { /* broken inside, which cannot be seen from without: as good as lost */
		listen->counters.bad++;
		oh_listen_fill(listen, (int64_t)item->samples + ahead, false);
		return;
	}
	if (ahead < 0) {
		late = -ahead < (int64_t)n ? (size_t)-ahead : (size_t)n;
		emit(listen, OH_LATE, listen->pcm, late, listen->at + ahead, item->timestamp);
		if (late == (size_t)n) {
			listen->counters.late++;
			return;
		}
	}
	(void)OH_AMISS(late == 0 && ahead != 0);
	release_sound(listen, listen->pcm + late, (size_t)n - late);
	if (oh_codec_falls_silent(decoder->codec, item->len))
		listen->quiet = QUIET_TOLD_MS * (uint32_t)listen->per_ms;
}

void oh_listen_release(struct oh_listen *listen, const struct oh_listen_item *item)
{
	int64_t ahead = oh_listen_ahead(listen, item->timestamp);
	bool    in_turn = pass(listen, item->seq);

	if (item->content == OH_CARRIES_OTHER) {
		if (in_turn && listen->quiet < QUIET_OTHER_MS * (uint32_t)listen->per_ms)
			listen->quiet = QUIET_OTHER_MS * (uint32_t)listen->per_ms;
		return;
	}
	if (ahead > 0)
		oh_listen_fill(listen, ahead, true);
	if (item->content == OH_CARRIES_COMFORT) {
		if (in_turn) {
			oh_comfort_level(&listen->conceal.comfort, item->payload[0] & 0x7fu);
			listen->quiet = QUIET_COMFORT_MS * (uint32_t)listen->per_ms;
		}
		return;
	}
	release_audio(listen, item, in_turn);
}

void oh_listen_bridge(struct oh_listen *listen, const struct oh_listen_item *item, int64_t n)
{
	int copied = item->content == OH_CARRIES_AUDIO
	                     ? oh_codec_copied(listen->decoder.codec, item->payload, item->len)
	                     : 0;

	if (copied == 0 || copied > n) {
		oh_listen_fill(listen, n, false);
		return;
	}
	oh_listen_fill(listen, n - copied, false);
	if (oh_decode_missing(&listen->decoder, item->payload, item->len, listen->pcm, (size_t)copied) != copied) {
		oh_listen_fill(listen, copied, false);
		return;
	}
	listen->counters.recovered_samples += (uint64_t)copied;
	release_sound(listen, listen->pcm, (size_t)copied);
}
