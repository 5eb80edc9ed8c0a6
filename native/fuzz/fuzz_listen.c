/*
 * fuzz_listen.c - any network through the listening buffer. The bytes are a script of packets and pauses; the stream's
 * promises (every sample once and in order, bounded work, the clock goes on) are held throughout.
 */
#include <stdlib.h>
#include <string.h>

#include "oh_digits.h"
#include "oh_listen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct ear {
	int64_t  next_at;
	uint32_t next_ts;
	int64_t  live;      /* samples to the reader */
	size_t   frames;    /* in this call */
	uint64_t seen;      /* frames in all */
	uint32_t rate_hz;
	uint32_t ticks;     /* of a sample */
};

static void hear(void *arg, const struct oh_listen_frame *frame)
{
	struct ear      *ear = arg;
	volatile int16_t last;

	if (frame->n == 0 || frame->n > OH_LISTEN_MAX_SAMPLES || ++ear->frames > 1000)
		abort();
	for (size_t i = 0; i < frame->n; i++)
		last = frame->pcm[i];
	(void)last;
	if (frame->rate_hz != ear->rate_hz)
		abort();
	if (frame->kind == OH_LATE) {
		if (frame->at + (int64_t)frame->n > ear->next_at)
			abort();
		return;
	}
	if (frame->at != ear->next_at || (ear->seen > 0 && !frame->restarted && frame->timestamp != ear->next_ts))
		abort();
	ear->seen++;
	ear->next_at += (int64_t)frame->n;
	ear->next_ts = frame->timestamp + (uint32_t)frame->n * ear->ticks;
	if (oh_listen_live(frame->kind))
		ear->live += (int64_t)frame->n;
}

/* Another codec. The one Opus decoder lives on from input to input: opening it for each would be most of the work. */
static void change(struct oh_listen *listen, struct ear *ear, enum oh_codec codec)
{
	static struct oh_decoder opus;
	struct oh_decoder        next = { .codec = codec };

	if (listen->decoder.codec == codec)
		return;
	if (codec == OH_CODEC_OPUS) {
		if (opus.opus == NULL && oh_decoder_open(&opus, codec) < 0)
			abort();
		oh_decoder_reset(&opus);
		next = opus;
	}
	oh_listen_codec(listen, &next); /* what waits comes out by the old clock */
	ear->ticks = oh_codec_ticks(codec);
	ear->rate_hz = oh_codec_rate_hz(codec);
	ear->next_at = listen->at;
	ear->seen = 0; /* of the timestamp of the first by another clock nothing is promised */
}

enum { STEPS = 128 }; /* of a script; the rest is not looked at: more runs find more than longer ones */

/* Each step: what to do, and three numbers for it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct oh_listen listen;
	static uint8_t          payload[OH_LISTEN_MAX_SAMPLES + 16];
	struct ear              ear = { .rate_hz = 8000, .ticks = 1 };
	struct oh_digits_in     digits;
	struct oh_digit         pressed[2];
	int64_t                 now_ns = 1000000000, last_tick_ns = 0;
	uint16_t                seq = 65530;
	uint32_t                timestamp = 0xffffff00u, ssrc = 1;

	oh_listen_init(&listen, hear, &ear, 1);
	oh_digits_in_init(&digits, 8000);
	for (size_t steps = 0; size >= 4 && steps < STEPS; data += 4, size -= 4, steps++) {
		struct oh_listen_packet packet = {
			.payload = payload,
			.payload_len = 160,
			.content = OH_CARRIES_AUDIO,
			.ssrc = ssrc,
			.timestamp = timestamp,
			.seq = seq,
		};

		ear.frames = 0;
		payload[data[1]] = data[2];
		const uint32_t twenty_ms = oh_codec_clock_hz(listen.decoder.codec) / 50u;
		int            samples;

		switch (data[0] % 11) {
		case 0: /* the next packet, of any length */
			packet.payload_len = ((size_t)data[1] << 8 | data[2]) % sizeof(payload);
			break;
		case 1: /* one from before or ahead */
			packet.seq = (uint16_t)(seq + (int8_t)data[1]);
			packet.timestamp = timestamp + (uint32_t)(int8_t)data[1] * twenty_ms;
			break;
		case 2: /* one from anywhere */
			packet.seq = (uint16_t)(data[1] << 8 | data[2]);
			packet.timestamp = (uint32_t)data[2] << 24 | (uint32_t)data[3] << 12;
			break;
		case 3:
			packet.content = OH_CARRIES_COMFORT;
			packet.payload_len = data[1] % 3;
			break;
		case 4:
			packet.content = OH_CARRIES_OTHER;
			packet.payload_len = data[1];
			if (oh_digits_receive(&digits, data, 4, timestamp, now_ns, pressed) > 2)
				abort();
			break;
		case 5: /* a silence, or a jump of the timestamp */
			packet.timestamp = timestamp += (uint32_t)(int16_t)(uint16_t)(data[1] << 8 | data[2]);
			break;
		case 6: /* another source */
			packet.ssrc = ssrc = data[1] % 3;
			break;
		case 7: /* packets lost */
			seq = (uint16_t)(seq + data[1] % 8);
			timestamp += data[1] % 8u * twenty_ms;
			continue;
		case 8:
			now_ns += (int64_t)data[1] * 1000000;
			break;
		case 10:
			change(&listen, &ear, data[1] % 3u);
			payload[0] = data[2];
			continue;
		default:
			break;
		}
		if (data[0] % 11 != 8) {
			samples = oh_codec_samples(listen.decoder.codec, payload, packet.payload_len);
			oh_listen_put(&listen, &packet, now_ns);
			seq++;
			timestamp += samples > 0 ? (uint32_t)samples * ear.ticks : 0;
			now_ns += (int64_t)(data[3] % 64) * 1000000;
		}
		if (now_ns - last_tick_ns >= 20000000 && data[3] < 250) {
			ear.frames = 0;
			oh_listen_tick(&listen, last_tick_ns = now_ns);
			if (oh_listen_due_ns(&listen) <= now_ns)
				abort();
		}
	}

	/* whatever came before, the clock goes on: within a second of silence it runs at its rate */
	struct oh_listen_packet last = { payload, 160, OH_CARRIES_AUDIO, ssrc, timestamp, seq };

	payload[0] = 0x48; /* for Opus: one frame of 20 ms */
	ear.frames = 0;

	oh_listen_put(&listen, &last, now_ns);
	if (oh_listen_due_ns(&listen) == INT64_MAX)
		return 0; /* a lone jump as the only packet after a restart */
	for (int i = 0; i < 60; i++) {
		int64_t before = ear.live;

		ear.frames = 0;
		oh_listen_tick(&listen, now_ns += 20000000);
		if (i > 50 && ear.live - before != ear.rate_hz / 50)
			abort();
	}
	return 0;
}
