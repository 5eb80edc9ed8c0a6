/* voip.c - bursts and gaps of one stream's losses (RFC 3611 section 4.7.2). */
#include "oh_voip.h"

#include <stddef.h>
#include <string.h>

#include "oh_rtp.h"

_Static_assert(OH_VOIP_WINDOW == 32u, "one bit of a uint32_t for each packet of the window");

/* ---- the model: packets in order, each received or missed ---- */

static void add_to_gap(struct oh_voip_model *model, uint64_t packets, uint64_t missed)
{
	if (packets == 0)
		return;
	if (!model->in_gap)
		model->counts.gaps++;
	model->in_gap = true;
	model->counts.gap_packets += packets;
	model->counts.gap_missed += missed;
}

/* What might have become a burst is over: it was one, or a lone packet. */
static void settle(struct oh_voip_model *model)
{
	if (model->missed > 1) {
		model->counts.bursts++;
		model->counts.burst_packets += model->span;
		model->counts.burst_missed += model->missed;
		model->in_gap = false;
	} else {
		add_to_gap(model, model->span, model->missed);
	}
	add_to_gap(model, model->good, 0);
	model->missed = 0;
	model->span = 0;
	model->good = 0;
}

static void received(struct oh_voip_model *model)
{
	model->counts.packets++;
	model->missing = false;
	if (model->missed == 0)
		add_to_gap(model, 1, 0);
	else if (++model->good >= OH_VOIP_GMIN)
		settle(model);
}

static void missed(struct oh_voip_model *model, uint32_t lost, uint32_t discarded)
{
	uint32_t n = lost + discarded;

	model->counts.packets += n;
	model->counts.lost += lost;
	model->counts.discarded += discarded;
	if (!model->missing)
		model->counts.runs++;
	model->missing = true;
	model->span += model->good + n;
	model->missed += n;
	model->good = 0;
}

/* ---- the window: packets whose fate is open ---- */

/* The oldest packet's fate is sealed. */
static void judge_oldest(struct oh_voip *voip)
{
	struct oh_voip_model *models[] = {&voip->whole, &voip->lately};
	uint32_t              bit = 1u << (voip->depth - 1u);

	for (size_t i = 0; i < 2; i++) {
		if (!(voip->came & bit))
			missed(models[i], 1, 0);
		else if (voip->late & bit)
			missed(models[i], 0, 1);
		else
			received(models[i]);
	}
	voip->came &= ~bit;
	voip->late &= ~bit;
	voip->depth--;
}

static void judge_all(struct oh_voip *voip)
{
	while (voip->depth > 0)
		judge_oldest(voip);
}

/* `ahead` packets further: that one came, those between may come yet. */
static void move_on(struct oh_voip *voip, uint32_t ahead)
{
	if (ahead > OH_VOIP_WINDOW) { /* the first of those between are lost for good */
		uint32_t gone = ahead - OH_VOIP_WINDOW;

		judge_all(voip);
		missed(&voip->whole, gone, 0);
		missed(&voip->lately, gone, 0);
		ahead = OH_VOIP_WINDOW;
	}
	while (voip->depth + ahead > OH_VOIP_WINDOW)
		judge_oldest(voip);
	voip->came = ahead < 32u ? voip->came << ahead : 0;
	voip->late = ahead < 32u ? voip->late << ahead : 0;
	voip->depth += ahead;
}

void oh_voip_heard(struct oh_voip *voip, uint32_t ssrc, uint16_t seq, bool late)
{
	int ahead = oh_seq_diff(seq, voip->top);

	if (!voip->started || voip->ssrc != ssrc || ahead >= (int)OH_VOIP_JUMP || ahead <= -(int)OH_VOIP_JUMP) {
		judge_all(voip);
		voip->started = true;
		voip->ssrc = ssrc;
		voip->top = seq;
		voip->came = 1;
		voip->late = late;
		voip->depth = 1;
		return;
	}
	if (ahead > 0) {
		move_on(voip, (uint32_t)ahead);
		voip->top = seq;
		ahead = 0;
	} else if ((uint32_t)-ahead >= voip->depth) {
		return; /* judged already, or from before the first */
	} else if (voip->came & 1u << -ahead) {
		return; /* a second copy changes nothing */
	}
	voip->came |= 1u << -ahead;
	if (late)
		voip->late |= 1u << -ahead;
}

/* ---- looking ---- */

void oh_voip_whole(const struct oh_voip *voip, struct oh_voip_counts *out)
{
	struct oh_voip_model model = voip->whole;

	settle(&model);
	*out = model.counts;
}

void oh_voip_lately(struct oh_voip *voip, struct oh_voip_counts *out)
{
	settle(&voip->lately);
	*out = voip->lately.counts;
	memset(&voip->lately, 0, sizeof(voip->lately));
}

static double share(uint64_t part, uint64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : 0.0;
}

void oh_voip_figures(const struct oh_voip_counts *counts, struct oh_voip_figures *out)
{
	uint64_t all = counts->lost + counts->discarded;

	*out = (struct oh_voip_figures){
		.lost = share(counts->lost, counts->packets),
		.discarded = share(counts->discarded, counts->packets),
		.burst_density = share(counts->burst_missed, counts->burst_packets),
		.gap_density = share(counts->gap_missed, counts->gap_packets),
		.burst_packets = share(counts->burst_packets, counts->bursts),
		.gap_packets = share(counts->gap_packets, counts->gaps),
		.burst_ratio = share(all, counts->runs) * (1.0 - share(all, counts->packets)),
	};
	if (out->burst_ratio < 1.0) /* spread more evenly than by chance: no worse than that */
		out->burst_ratio = 1.0;
}
