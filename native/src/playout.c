/* playout.c - the bridge path's buffer: what the header says. */
#include "oh_playout.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "oh_conceal.h"
#include "oh_rtp.h"

enum { WAITING = 128, START_MS = 40 };

struct waiting {
	int64_t  at; /* place of the first sample on the sender's timeline */
	int64_t  arrival_ns;
	int      n;
	uint16_t seq;
	uint16_t len;
	bool     comfort;
	uint8_t  payload[OH_CODEC_PAYLOAD_MAX];
};

struct oh_playout {
	struct oh_playout_counters counters;
	struct oh_decoder          decoder;
	struct oh_conceal          conceal;
	uint32_t                   rate_hz, ticks;
	bool                       started, playing;
	uint32_t                   top_ts;
	int64_t                    top_at;
	int64_t                    next_at; /* of the next sample to play */
	int64_t                    first_ns;
	int64_t                    delay_ns;
	size_t                     credit; /* samples made up while nothing was there */
	size_t                     count;
	struct waiting             waiting[WAITING]; /* in order of `at` */
	int64_t                    ready_ns;         /* arrival of what is in `ready` */
	int16_t                    ready[OH_CODEC_SAMPLES_MAX];
	size_t                     ready_at, ready_end;
};

int oh_playout_open(struct oh_playout **playout, enum oh_codec codec, uint32_t seed)
{
	struct oh_playout *made = calloc(1, sizeof(*made));

	if (!made || oh_decoder_open(&made->decoder, codec) < 0) {
		free(made);
		return -ENOMEM;
	}
	made->rate_hz = oh_codec_rate_hz(codec);
	made->ticks = oh_codec_ticks(codec);
	oh_conceal_init(&made->conceal, seed);
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

int oh_playout_put(struct oh_playout *p, const struct oh_playout_packet *packet, int64_t arrival_ns)
{
	int    n = packet->comfort ? 0 : oh_codec_samples(p->decoder.codec, packet->payload, packet->len);
	size_t place = p->count;

	if (n < 0 || packet->len == 0 || packet->len > OH_CODEC_PAYLOAD_MAX) {
		p->counters.bad++;
		return -EBADMSG;
	}
	if (!p->started) {
		p->started = true;
		p->top_ts = packet->timestamp;
		p->top_at = p->next_at;
		p->first_ns = arrival_ns;
		p->playing = false;
	}

	int64_t at = p->top_at + oh_ts_diff(packet->timestamp, p->top_ts) / (int32_t)p->ticks;

	if (at > p->top_at) {
		p->top_at = at;
		p->top_ts = packet->timestamp;
	}
	while (place > 0 && p->waiting[place - 1].at > at)
		place--;
	if (place > 0 && p->waiting[place - 1].at == at) {
		p->counters.duplicate++;
		return 0;
	}
	p->counters.packets++;
	if (p->playing && at + n <= p->next_at && !packet->comfort) {
		p->counters.late++;
		return 0;
	}
	if (p->count == WAITING) {
		p->counters.discarded++;
		return 0;
	}
	memmove(p->waiting + place + 1, p->waiting + place, (p->count - place) * sizeof(*p->waiting));
	p->count++;
	p->waiting[place] = (struct waiting){ at, arrival_ns, n, packet->seq, (uint16_t)packet->len, packet->comfort, { 0 } };
	memcpy(p->waiting[place].payload, packet->payload, packet->len);
	return 0;
}

static void take_first(struct oh_playout *p)
{
	p->count--;
	memmove(p->waiting, p->waiting + 1, p->count * sizeof(*p->waiting));
}

void oh_playout_get(struct oh_playout *p, int16_t *out, size_t n, int64_t now_ns)
{
	p->counters.played_samples += n;
	if (!p->playing && p->started && now_ns - p->first_ns >= START_MS * 1000000ll)
		p->playing = true;
	while (n > 0) {
		struct waiting *first = &p->waiting[0];
		size_t          part = p->ready_end - p->ready_at;

		if (part > 0) {
			part = part < n ? part : n;
			memcpy(out, p->ready + p->ready_at, part * sizeof(*out));
			oh_conceal_heard(&p->conceal, out, part);
			p->ready_at += part;
			p->next_at += (int64_t)part;
			p->counters.heard_samples += part;
			p->counters.delay_us += (uint64_t)((now_ns - p->ready_ns) / 1000) * part;
			p->delay_ns = now_ns - p->ready_ns;
			p->credit = 0;
		} else if (!p->playing || p->count == 0) {
			part = n;
			oh_conceal_fill(&p->conceal, out, part);
			if (p->playing) {
				p->credit += part;
				p->counters.concealed_samples += part;
			} else {
				p->counters.comfort_samples += part;
			}
		} else if (first->comfort) {
			oh_comfort_level(&p->conceal.comfort, first->payload[0] & 0x7fu);
			oh_conceal_hush(&p->conceal);
			take_first(p);
			continue;
		} else if (first->at > p->next_at) {
			int64_t gap = first->at - p->next_at;

			if (p->credit > 0) {
				int64_t paid = (int64_t)p->credit < gap ? (int64_t)p->credit : gap;

				p->credit = 0;
				p->next_at += paid;
				continue;
			}
			part = gap < (int64_t)n ? (size_t)gap : n;
			oh_conceal_fill(&p->conceal, out, part);
			p->next_at += (int64_t)part;
			p->counters.concealed_samples += part;
		} else {
			int made = oh_decode(&p->decoder, first->payload, first->len, p->ready);
			int64_t skip = p->next_at - first->at;

			p->ready_ns = first->arrival_ns;
			p->ready_at = made > 0 && skip < made ? (size_t)skip : 0;
			p->ready_end = made > 0 && skip < made ? (size_t)made : 0;
			p->counters.overdue += p->credit > 0;
			take_first(p);
			continue;
		}
		out += part;
		n -= part;
	}
}

void oh_playout_restart(struct oh_playout *p)
{
	p->started = p->playing = false;
	p->count = 0;
	p->ready_at = p->ready_end = 0;
	p->counters.restarts++;
	oh_decoder_reset(&p->decoder);
}

const struct oh_playout_counters *oh_playout_counters(const struct oh_playout *p)
{
	return &p->counters;
}

int32_t oh_playout_delay_ms(const struct oh_playout *p)
{
	return (int32_t)(p->delay_ns / 1000000);
}

int32_t oh_playout_target_ms(const struct oh_playout *p)
{
	(void)p;
	return START_MS;
}
