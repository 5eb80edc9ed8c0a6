/* sound.c - the sound that the bridge path's buffer has ready, and the count of where each sample of it came from. */
#include <string.h>

#include "oh_amiss.h"
#include "playout.h"

/* Behind so many there is still room for a packet and what may be put in. */
enum { MOST_READY = OH_PLAYOUT_SOUND - OH_EXPAND_PAST - OH_CODEC_SAMPLES_MAX - 2 * OH_STRETCH_MOST };

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

void oh_sound_add(struct oh_playout *playout, enum oh_playout_source source, uint32_t n, int64_t arrival_ns)
{
	struct oh_playout_run *last = playout->run_count > 0 ? &playout->runs[playout->run_count - 1] : NULL;

	if (n == 0)
		return;
	if (last && (playout->run_count == OH_PLAYOUT_RUNS || (last->source == source && last->arrival_ns == arrival_ns))) {
		last->n += n;
		return;
	}
	playout->runs[playout->run_count++] = (struct oh_playout_run){ arrival_ns, n, source };
}

static void drop_first_run(struct oh_playout *playout)
{
	playout->run_count--;
	memmove(playout->runs, playout->runs + 1, playout->run_count * sizeof(*playout->runs));
}

void oh_sound_shorter(struct oh_playout *playout, uint32_t n)
{
	playout->counters.removed_samples += n;
	while (n > 0) {
		struct oh_playout_run *first = &playout->runs[0];
		uint32_t               part = least(n, first->n);

		if (OH_AMISS(playout->run_count == 0))
			return;
		first->n -= part;
		n -= part;
		if (first->n == 0)
			drop_first_run(playout);
	}
}

void oh_sound_longer(struct oh_playout *playout, uint32_t n)
{
	if (playout->run_count == OH_PLAYOUT_RUNS) {
		playout->runs[0].n += n;
		return;
	}
	memmove(playout->runs + 1, playout->runs, playout->run_count * sizeof(*playout->runs));
	playout->run_count++;
	playout->runs[0] = (struct oh_playout_run){ 0, n, OH_PUT_IN };
}

void oh_sound_out(struct oh_playout *playout, uint32_t n, int64_t now_ns)
{
	struct oh_playout_counters *counters = &playout->counters;

	counters->played_samples += n;
	while (n > 0) {
		struct oh_playout_run *first = &playout->runs[0];
		uint32_t               part = least(n, first->n);

		if (OH_AMISS(playout->run_count == 0))
			return;
		switch (first->source) {
		case OH_FROM_PACKET:
			counters->heard_samples += part;
			counters->delay_us += (uint64_t)((now_ns - first->arrival_ns) / 1000) * part;
			break;
		case OH_MADE_UP:
			counters->concealed_samples += part;
			break;
		case OH_PUT_IN:
			counters->inserted_samples += part;
			break;
		case OH_NOISE:
			counters->comfort_samples += part;
			break;
		}
		first->n -= part;
		n -= part;
		if (first->n == 0)
			drop_first_run(playout);
	}
}

void oh_sound_room(struct oh_playout *playout)
{
	if (playout->at < 2 * OH_EXPAND_PAST && playout->end + OH_CODEC_SAMPLES_MAX + 2 * OH_STRETCH_MOST <= OH_PLAYOUT_SOUND)
		return; /* the less memory is gone over, the more of it stays in the cache */
	if (OH_AMISS(oh_sound_ready(playout) > MOST_READY)) { /* the oldest makes room */
		oh_sound_shorter(playout, oh_sound_ready(playout) - MOST_READY);
		playout->at = playout->end - MOST_READY;
	}

	uint32_t from = playout->at - OH_EXPAND_PAST;

	memmove(playout->sound, playout->sound + from, (playout->end - from) * sizeof(*playout->sound));
	playout->at -= from;
	playout->end -= from;
}
