/* expand.c - pitch periods repeated, in the spirit of G.711 Appendix I. */
#include "oh_expand.h"

#include <assert.h>
#include <string.h>

enum { ONE = 1 << 24 };

static uint32_t samples(const struct oh_expand *expand, uint32_t us)
{
	return us * (expand->rate_hz / 1000) / 1000;
}

static int16_t saturate(int32_t v)
{
	return (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
}

/* Take the last `periods` periods as the cycle, its end bent to lead into its beginning. */
static void take_cycle(struct oh_expand *expand, uint32_t periods)
{
	uint32_t len = periods * expand->period, join = expand->period / 4, start = expand->past_len - len;

	assert(join <= start);
	memcpy(expand->cycle, expand->past + start, len * sizeof(*expand->cycle));
	oh_stretch_fade(expand->cycle + len - join, expand->cycle + len - join, expand->past + start - join, join);
	expand->cycle_len = len;
	expand->cycle_at = len - expand->period; /* the newest period is the one that follows on */
}

/* A voice that was dying away goes on dying away: the last period against the one before. */
static void fall(struct oh_expand *expand)
{
	const int16_t *last = expand->past + expand->past_len - expand->period;
	float          is = (float)oh_stretch_level(last, expand->period) + 1.0f;
	float          was = (float)oh_stretch_level(last - expand->period, expand->period) + 1.0f;
	float          lost = 1.0f - (is > 0.5f * was ? is / was : 0.5f), ten_ms = (float)samples(expand, 10000);
	float          in_ten_ms = lost * ten_ms / (float)expand->period;
	int32_t        slope = (int32_t)((in_ten_ms < 0.3f ? in_ten_ms : 0.3f) * (float)ONE / ten_ms);

	if (slope > expand->slope) {
		expand->slope = slope;
		expand->full = 0;
	}
}

void oh_expand_begin(struct oh_expand *expand, const int16_t *end, uint32_t rate_hz)
{
	uint32_t window, least, most;
	float    likeness;

	expand->rate_hz = rate_hz;
	expand->past_len = samples(expand, OH_EXPAND_PAST_MS * 1000u);
	memcpy(expand->past, end - expand->past_len, expand->past_len * sizeof(*end));
	window = samples(expand, 8000);
	least = samples(expand, 5000); /* higher voices repeat two periods at once */
	most = samples(expand, OH_STRETCH_MOST_US);
	expand->period = (uint32_t)oh_stretch_lag(end - window, true, window, least, most, &likeness);
	if (likeness < 0.3f)
		expand->period = most; /* no pitch: the longest period buzzes least */
	expand->gone = 0;
	expand->full = samples(expand, 10000);
	expand->gain = ONE;
	expand->slope = ONE / (int32_t)samples(expand, 100000);
	take_cycle(expand, 1);
	fall(expand);
	expand->step = expand->past[expand->past_len - 1] - expand->past[expand->past_len - 1 - expand->period];
}

static int32_t next_of_cycle(struct oh_expand *expand)
{
	if (expand->cycle_at == expand->cycle_len) {
		uint32_t ten_ms = samples(expand, 10000), periods = expand->gone >= 2 * ten_ms ? 3 : expand->gone >= ten_ms ? 2 : 1;

		if (expand->cycle_len < periods * expand->period)
			take_cycle(expand, periods);
		else
			expand->cycle_at = 0;
	}
	return expand->cycle[expand->cycle_at++];
}

void oh_expand_hush(struct oh_expand *expand, uint32_t n)
{
	int32_t slope = expand->gain / (int32_t)(n > 0 ? n : 1) + 1;

	expand->full = 0;
	expand->slope = slope > expand->slope ? slope : expand->slope;
}

void oh_expand_make(struct oh_expand *expand, struct oh_comfort *comfort, int16_t *out, size_t n)
{
	uint32_t bend = samples(expand, 2000);

	oh_comfort_fill(comfort, out, n);
	for (size_t i = 0; i < n && expand->gain > 0; i++, expand->gone++) {
		int32_t gain = expand->gain >> 9; /* of 32768 */
		int32_t voice = next_of_cycle(expand);

		if (expand->gone < bend)
			voice = saturate(voice + expand->step * (int32_t)(bend - expand->gone) / (int32_t)bend);
		out[i] = saturate((voice * gain + out[i] * (32768 - gain)) / 32768);
		if (expand->gone >= expand->full)
			expand->gain -= expand->slope < expand->gain ? expand->slope : expand->gain;
	}
}
