/*
 * quality.c - how well a call is heard at both ends: what we hear of the far end, what it reports hearing of us.
 *
 * Each packet taken is one line to oh_voip; every OH_QUALITY_NS a port tells in one event what the last five seconds
 * came to, so that nobody has to ask thousands of ports. The far end learns the same in its own words, RTCP XR.
 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "engine.h"
#include "seat.h"

#define LISTEN_WAITS_MS ((double)OH_LISTEN_WAIT_NS / 1e6)
#define LONGEST_MS      120u /* of one packet; what lies further apart is no packet's length */

static enum oh_codec heard_codec(const struct oh_port *port)
{
	return port->listen.decoder.codec;
}

static double ticks_a_ms(enum oh_codec codec)
{
	return oh_codec_clock_hz(codec) / 1000.0;
}

/* What lies between a packet on time and somebody who hears it, here: in a room that is a person, else a model. */
static double listening_ms(const struct oh_port *port)
{
	return port->seat != NULL ? oh_playout_delay_ms(port->seat->playout) : 0.0;
}

uint64_t oh_quality_late(const struct oh_port *port)
{
	return port->seat != NULL ? oh_playout_counters(port->seat->playout)->late : port->listen.counters.late;
}

/* Mouth to ear, from the far end's to ours or back: half the way there and back, the packet gathered before it leaves,
 * and what waits before it is heard (the far end's we only know where it says so). Negative: not known. */
static double delay_ms(const struct oh_port *port, double packet_ms, double waits_ms)
{
	return port->counters.rtt_ms > 0.0 ? port->counters.rtt_ms / 2.0 + packet_ms + waits_ms : OH_QUALITY_UNKNOWN;
}

/* --- what we hear */

void oh_quality_heard(struct oh_port *port, const struct oh_rtp *rtp, bool late)
{
	struct oh_seen *seen = &port->seen;
	uint32_t        ticks = rtp->timestamp - seen->timestamp;

	if (rtp->seq == (uint16_t)(seen->seq + 1u) && ticks > 0 && ticks <= LONGEST_MS * oh_codec_clock_hz(heard_codec(port)) / 1000u)
		seen->packet_ticks = ticks;
	seen->timestamp = rtp->timestamp;
	seen->seq = rtp->seq;
	seen->left = false;
	oh_voip_heard(&seen->voip, rtp->ssrc, rtp->seq, late);
}

static double packet_ms(const struct oh_port *port)
{
	return (double)port->seen.packet_ticks / ticks_a_ms(heard_codec(port));
}

static void rate(enum oh_codec codec, double missed, double burst_ratio, double delay, struct oh_quality_side *side)
{
	double r = oh_emodel_r(oh_emodel_codec(codec), missed, burst_ratio, 0.0);

	side->r = (float)r;
	side->mos_lq = (float)oh_emodel_mos(r);
	side->mos_cq = OH_QUALITY_UNKNOWN;
	if (delay >= 0.0) {
		side->r = (float)oh_emodel_r(oh_emodel_codec(codec), missed, burst_ratio, delay);
		side->mos_cq = (float)oh_emodel_mos(side->r);
	}
}

static void unknown(struct oh_quality_side *side)
{
	*side = (struct oh_quality_side){
	        .r = OH_QUALITY_UNKNOWN,
	        .mos_lq = OH_QUALITY_UNKNOWN,
	        .mos_cq = OH_QUALITY_UNKNOWN,
	        .lost = OH_QUALITY_UNKNOWN,
	        .discarded = OH_QUALITY_UNKNOWN,
	        .burst_density = OH_QUALITY_UNKNOWN,
	        .burst_ms = OH_QUALITY_UNKNOWN,
	        .jitter_ms = OH_QUALITY_UNKNOWN,
	        .said_mos_lq = OH_QUALITY_UNKNOWN,
	        .said_mos_cq = OH_QUALITY_UNKNOWN,
	};
}

static void look(const struct oh_port *port, const struct oh_voip_counts *counts, struct oh_quality_side *side)
{
	struct oh_voip_figures figures;

	unknown(side);
	if (counts->packets == 0)
		return;
	oh_voip_figures(counts, &figures);
	rate(heard_codec(port), figures.lost + figures.discarded, figures.burst_ratio,
	     delay_ms(port, packet_ms(port), listening_ms(port)), side);
	side->packets = (uint32_t)counts->packets;
	side->lost = (float)figures.lost;
	side->discarded = (float)figures.discarded;
	side->burst_density = (float)figures.burst_density;
	side->burst_ms = (float)(figures.burst_packets * packet_ms(port));
	side->jitter_ms = (float)(oh_rtcp_jitter(&port->source) / ticks_a_ms(heard_codec(port)));
}

void oh_quality_whole(const struct oh_port *port, struct oh_quality_side *side)
{
	struct oh_voip_counts counts;

	oh_voip_whole(&port->seen.voip, &counts);
	look(port, &counts, side);
}

/* --- what the far end reports */

static uint32_t wall_mid(void)
{
	struct timespec wall;

	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return oh_rtcp_ntp_mid(oh_rtcp_ntp((int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec));
}

static void heard_round_trip(struct oh_port *port, uint32_t sent_mid, uint32_t held)
{
	struct oh_rtcp_block block = {.lsr = sent_mid, .dlsr = held};
	int64_t              rtt_ns;

	if (oh_rtcp_round_trip(&block, wall_mid(), &rtt_ns) == 0)
		port->counters.rtt_ms = (double)rtt_ns / 1e6;
}

void oh_quality_told(struct oh_port *port, const struct oh_rtcp *rtcp)
{
	struct oh_seen *seen = &port->seen;

	if (rtcp->sender && port->have_source && rtcp->ssrc == port->source.ssrc)
		oh_rtcp_heard_sr(&port->source, rtcp->ntp, port->now_ns);
	for (size_t i = 0; i < rtcp->block_count; i++) {
		if (rtcp->blocks[i].ssrc != port->ssrc)
			continue;
		oh_port_lost(port, rtcp->blocks[i].fraction_lost / 256.0);
		heard_round_trip(port, rtcp->blocks[i].lsr, rtcp->blocks[i].dlsr);
		seen->reports++;
		seen->reported_lost += port->counters.remote_lost;
		seen->reported_jitter = rtcp->blocks[i].jitter;
	}
	for (size_t i = 0; i < rtcp->xr.dlrr_count; i++) {
		if (rtcp->xr.dlrrs[i].ssrc == port->ssrc)
			heard_round_trip(port, rtcp->xr.dlrrs[i].lrr, rtcp->xr.dlrrs[i].dlrr);
	}
	for (size_t i = 0; i < rtcp->xr.voip_count; i++) {
		if (rtcp->xr.voips[i].ssrc == port->ssrc) {
			seen->said = rtcp->xr.voips[i];
			seen->said_any = true;
		}
	}
	if (rtcp->xr.reference) {
		seen->reference_ssrc = rtcp->ssrc;
		seen->reference_mid = oh_rtcp_ntp_mid(rtcp->xr.ntp);
		seen->reference_ns = port->now_ns;
	}
	for (size_t i = 0; i < rtcp->bye_count; i++) {
		if (port->have_source && rtcp->byes[i] == port->source.ssrc) /* until it speaks again (RFC 3550 6.3.4) */
			seen->left = true;
	}
}

static float said_mos(uint8_t tenths)
{
	return tenths >= 10 && tenths <= 50 ? (float)tenths / 10.0f : OH_QUALITY_UNKNOWN;
}

static void reported(struct oh_port *port, struct oh_quality_side *side)
{
	struct oh_seen *seen = &port->seen;

	unknown(side);
	if (seen->reports > 0) {
		double lost = seen->reported_lost / seen->reports;

		/* Of runs a report says nothing: taken to be random. */
		rate(port->encoder.codec, lost, 1.0,
		     delay_ms(port, port->remote.packet_ms, seen->said_any ? seen->said.jb_nominal_ms : 0.0), side);
		side->packets = (uint32_t)(port->counters.packets_out - seen->told_out);
		side->lost = (float)lost;
		side->jitter_ms = (float)(seen->reported_jitter / ticks_a_ms(port->encoder.codec));
	}
	if (seen->said_any) {
		side->discarded = (float)seen->said.discarded / 256.0f;
		side->burst_density = (float)seen->said.burst_density / 256.0f;
		side->burst_ms = (float)seen->said.burst_ms;
		side->said_mos_lq = said_mos(seen->said.mos_lq);
		side->said_mos_cq = said_mos(seen->said.mos_cq);
	}
	seen->told_out = port->counters.packets_out;
	seen->reports = 0;
	seen->reported_lost = 0.0;
}

/* --- what is told of it */

void oh_quality_begin(struct oh_port *port)
{
	/* Not all ports of a busy second at one moment ever after: the first time is a shorter one, by chance. */
	port->seen.since_ns = port->now_ns;
	port->seen.due_ns = port->now_ns + OH_QUALITY_NS / 2 + OH_QUALITY_NS / 2000 * (oh_random(port->core) % 1000u);
}

void oh_quality_tick(struct oh_port *port)
{
	struct oh_quality     quality;
	struct oh_voip_counts counts;
	bool                  told = port->seen.reports > 0;

	if (port->now_ns < port->seen.due_ns)
		return;
	port->seen.due_ns += OH_QUALITY_NS;
	if (port->seen.due_ns <= port->now_ns) /* the machine slept */
		port->seen.due_ns = port->now_ns + OH_QUALITY_NS;
	oh_voip_lately(&port->seen.voip, &counts);
	look(port, &counts, &quality.heard);
	reported(port, &quality.reported);
	quality.rtt_ms = port->counters.rtt_ms > 0.0 ? (float)port->counters.rtt_ms : OH_QUALITY_UNKNOWN;
	quality.delay_ms = (float)listening_ms(port);
	if (counts.packets > 0 || told)
		oh_event_quality(port->core, port, (port->now_ns - port->seen.since_ns) / 1000000, &quality);
	port->seen.since_ns = port->now_ns;
}

static uint8_t of_256(double share)
{
	return (uint8_t)(share < 1.0 ? share * 256.0 : 255.0);
}

static uint16_t in_ms(double ms)
{
	return (uint16_t)(ms < 0.0 ? 0.0 : ms < UINT16_MAX ? ms : UINT16_MAX);
}

static uint8_t in_tenths(float mos)
{
	return mos < 0.0f ? OH_XR_NONE : (uint8_t)lround((double)mos * 10.0);
}

static void write_voip(const struct oh_port *port, struct oh_xr_voip *voip)
{
	struct oh_voip_counts  counts;
	struct oh_voip_figures figures;
	struct oh_quality_side side;

	oh_voip_whole(&port->seen.voip, &counts);
	oh_voip_figures(&counts, &figures);
	look(port, &counts, &side);
	*voip = (struct oh_xr_voip){
	        .ssrc = port->source.ssrc,
	        .lost = of_256(figures.lost),
	        .discarded = of_256(figures.discarded),
	        .burst_density = of_256(figures.burst_density),
	        .gap_density = of_256(figures.gap_density),
	        .burst_ms = in_ms(figures.burst_packets * packet_ms(port)),
	        .gap_ms = in_ms(figures.gap_packets * packet_ms(port)),
	        .round_trip_ms = in_ms(port->counters.rtt_ms),
	        .end_system_ms = in_ms(port->remote.packet_ms + listening_ms(port)),
	        .signal_dbm = (int8_t)OH_XR_NONE,
	        .noise_dbm = (int8_t)OH_XR_NONE,
	        .rerl_db = OH_XR_NONE,
	        .gmin = OH_VOIP_GMIN,
	        .r = side.r < 0.0f ? OH_XR_NONE : (uint8_t)lround((double)side.r),
	        .external_r = OH_XR_NONE,
	        .mos_lq = in_tenths(side.mos_lq),
	        .mos_cq = in_tenths(side.mos_cq),
	        .config = OH_XR_CONCEALS,
	        .jb_nominal_ms = in_ms(listening_ms(port)),
	        .jb_maximum_ms = in_ms(listening_ms(port) + LISTEN_WAITS_MS),
	        .jb_most_ms = in_ms(listening_ms(port) + LISTEN_WAITS_MS),
	};
}

static uint32_t in_65536ths(int64_t ns)
{
	return ns >= 65535000000000ll ? UINT32_MAX
	                              : (uint32_t)((ns / 1000000000 << 16) + (ns % 1000000000 << 16) / 1000000000);
}

void oh_quality_report(struct oh_port *port, uint64_t ntp, bool sender, struct oh_xr *xr)
{
	struct oh_seen *seen = &port->seen;

	memset(xr, 0, sizeof(*xr));
	if (!sender) { /* no SR by which the far end could show us the round trip */
		xr->reference = true;
		xr->ntp = ntp;
	}
	if (seen->reference_ns != 0) {
		xr->dlrrs[xr->dlrr_count++] = (struct oh_xr_dlrr){
		        .ssrc = seen->reference_ssrc,
		        .lrr = seen->reference_mid,
		        .dlrr = in_65536ths(port->now_ns - seen->reference_ns),
		};
		seen->reference_ns = 0;
	}
	if (seen->voip.started && port->have_source && seen->voip.ssrc == port->source.ssrc && !seen->left)
		write_voip(port, &xr->voips[xr->voip_count++]);
}
