/*
 * fuzz_voip.c - any order of sequence numbers through the burst model, and what it counts through the E-model: packets
 * add up, shares lie within 0 and 1, and what is counted piece by piece is what is counted in one.
 */
#include <stdlib.h>

#include "oh_emodel.h"
#include "oh_voip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_share(double value)
{
	if (!(value >= 0.0 && value <= 1.0))
		abort();
}

static void check(const struct oh_voip_counts *counts)
{
	struct oh_voip_figures figures;

	if (counts->lost + counts->discarded > counts->packets || counts->runs > counts->packets ||
	    counts->burst_packets + counts->gap_packets != counts->packets ||
	    counts->burst_missed + counts->gap_missed != counts->lost + counts->discarded ||
	    counts->burst_missed < 2 * counts->bursts || counts->burst_missed > counts->burst_packets)
		abort();
	oh_voip_figures(counts, &figures);
	is_share(figures.lost + figures.discarded);
	is_share(figures.burst_density);
	is_share(figures.gap_density);
	if (!(figures.burst_ratio >= 1.0))
		abort();

	double r = oh_emodel_r(oh_emodel_codec(OH_CODEC_ULAW), figures.lost + figures.discarded, figures.burst_ratio, 100.0);

	if (!(r >= 0.0 && r <= 100.0) || !(oh_emodel_mos(r) >= 1.0 && oh_emodel_mos(r) <= 4.5))
		abort();
}

/* Each step two bytes: what to do, and how far. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oh_voip        voip = {0};
	struct oh_voip_counts counts, sum = {0};
	uint16_t              seq = 65500;
	uint32_t              ssrc = 1;

	for (; size >= 2; data += 2, size -= 2) {
		switch (data[0] % 8) {
		case 0: /* another packet, or so many lost before it */
		case 1:
			seq = (uint16_t)(seq + 1u + (data[1] > 192 ? data[1] - 192u : 0u));
			oh_voip_heard(&voip, ssrc, seq, false);
			break;
		case 2: /* one from before, in time or not */
			oh_voip_heard(&voip, ssrc, (uint16_t)(seq - data[1] % 64u), data[1] > 128);
			break;
		case 3: /* one from anywhere */
			oh_voip_heard(&voip, ssrc, (uint16_t)(data[1] << 8), data[0] > 128);
			break;
		case 4: /* another source */
			ssrc = data[1] % 3u;
			break;
		case 5:
			oh_voip_lately(&voip, &counts);
			check(&counts);
			sum.packets += counts.packets;
			sum.lost += counts.lost;
			sum.discarded += counts.discarded;
			break;
		default: /* many in order */
			for (unsigned i = 0; i < data[1]; i++)
				oh_voip_heard(&voip, ssrc, ++seq, false);
		}
	}
	oh_voip_lately(&voip, &counts);
	check(&counts);
	sum.packets += counts.packets;
	sum.lost += counts.lost;
	sum.discarded += counts.discarded;
	oh_voip_whole(&voip, &counts);
	check(&counts);
	if (counts.packets != sum.packets || counts.lost != sum.lost || counts.discarded != sum.discarded)
		abort();
	return 0;
}
