/* gap.c - a short list of gaps, and how late they were filled. */
#include "gap.h"

#include <string.h>

static const float gap_memory = 0.9f;  /* what a gap counts for, each time that another one opens */
static const float before_seen = 1.5f; /* before the first one: so many are taken to have been seen ... */
static const float before_late = 1.0f; /* ... and of these, filled, where packets take now more, now less time */

void oh_gap_init(struct oh_gaps *gaps)
{
	memset(gaps, 0, sizeof(*gaps));
	gaps->seen = before_seen;
	gaps->hope = before_late;
}

void oh_gap_forget(struct oh_gaps *gaps)
{
	memset(gaps->open, 0, sizeof(gaps->open));
}

/* Where the gap with this number is in the list; OH_GAP_OPEN: nowhere. */
static unsigned find(const struct oh_gaps *gaps, uint16_t seq)
{
	unsigned i = 0;

	while (i < OH_GAP_OPEN && (uint16_t)(seq - gaps->open[i].from) >= gaps->open[i].n)
		i++;
	return i;
}

void oh_gap_opens(struct oh_gaps *gaps, uint16_t from, uint16_t n, int64_t now_ns)
{
	gaps->open[gaps->next] = (struct oh_gap){ now_ns, from, n, false };
	gaps->next = (gaps->next + 1) % OH_GAP_OPEN;
	gaps->seen = gaps->seen * gap_memory + 1;
	gaps->hope *= gap_memory;
	for (unsigned i = 0; i < OH_GAP_STEPS; i++)
		gaps->filled[i] *= gap_memory;
}

void oh_gap_fills(struct oh_gaps *gaps, uint16_t seq, int64_t now_ns)
{
	unsigned found = find(gaps, seq);

	if (found == OH_GAP_OPEN || gaps->open[found].filled)
		return; /* a gap counts once, however many packets it is long */

	int64_t step = (now_ns - gaps->open[found].since_ns) / OH_GAP_STEP_NS;

	gaps->open[found].filled = true;
	if (step < OH_GAP_STEPS)
		gaps->filled[step]++;
}

float oh_gap_odds(const struct oh_gaps *gaps, uint16_t seq, int64_t now_ns, int64_t within_ns, bool restless)
{
	unsigned found = find(gaps, seq);

	if (found == OH_GAP_OPEN)
		return 0;

	int64_t from = (now_ns - gaps->open[found].since_ns) / OH_GAP_STEP_NS, to = from + within_ns / OH_GAP_STEP_NS;
	float   left = gaps->seen, soon = restless ? gaps->hope : 0;

	if (from >= OH_GAP_STEPS)
		return 0;
	from -= from > 0; /* what came a little earlier might have come a little later */
	for (int64_t i = 0; i < OH_GAP_STEPS && i <= to; i++) {
		if (i < from)
			left -= gaps->filled[i];
		else
			soon += gaps->filled[i];
	}
	return left > 0 ? soon / left : 0; /* after a thousand gaps, all filled sooner, nothing may be left of the belief */
}
