/* lead.c - watching a stream's lead over our clock, and choosing what to skip. */
#include "oh_lead.h"

#include <stdlib.h>
#include <string.h>

enum {
	MS = 1000000,        /* in nanoseconds */
	WINDOW_S = 2,        /* over which the lead is watched */
	LEFT_OVER = 60 * MS, /* lead that remains when skipping is done */
	SLACK = 128,         /* 8 steps, times 16: what counts as quiet above twice the line's quiet */
};

void oh_lead_init(struct oh_lead *lead)
{
	memset(lead, 0, sizeof(*lead));
	lead->hush = SLACK;
}

void oh_lead_begin(struct oh_lead *lead, int64_t now_ns, int64_t length_ns)
{
	lead->start_ns = now_ns;
	lead->window_ns = now_ns;
	lead->given = 0;
	lead->skip = 0;
	lead->least = length_ns;
	lead->low = lead->least;
}

void oh_lead_watch(struct oh_lead *lead, int64_t now_ns)
{
	int64_t ahead = lead->given - (now_ns - lead->start_ns);

	if (ahead < lead->low)
		lead->low = ahead;
	if (ahead < lead->least)
		lead->least = ahead;
	if (now_ns - lead->window_ns < WINDOW_S * 1000000000ll)
		return;

	int64_t excess = lead->low - lead->least;

	lead->skip = excess > (int64_t)OH_LEAD_MS * MS ? excess - LEFT_OVER : 0;
	lead->loud = excess > (int64_t)OH_LEAD_MAX_MS * MS;
	lead->low = ahead;
	lead->window_ns = now_ns;
}

/* Follow the line's quiet, and say whether this packet is no louder. */
static bool is_quiet(struct oh_lead *lead, const int16_t *pcm, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (uint32_t)abs(pcm[i]);

	int32_t loudness = (int32_t)(sum / n * 16u);

	if (loudness < lead->hush)
		lead->hush -= (lead->hush - loudness) / 4;
	else
		lead->hush += lead->hush / 256 + 1;
	return loudness <= 2 * lead->hush + SLACK;
}

bool oh_lead_skips(struct oh_lead *lead, const int16_t *pcm, size_t n, int64_t length_ns)
{
	bool quiet = is_quiet(lead, pcm, n);

	if (lead->skip <= 0 || !(quiet || lead->loud))
		return false;
	lead->skip -= length_ns;
	return true;
}
