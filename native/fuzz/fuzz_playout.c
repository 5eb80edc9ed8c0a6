/*
 * fuzz_playout.c - any network through the bridge path's buffer. The bytes are a script of packets, pulls and pauses;
 * the counters add up throughout, and whatever came before, a steady stream is soon played with little delay.
 */
#include <stdlib.h>
#include <string.h>

#include "oh_playout.h"

#define MS 1000000ll

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	PACKET = 160,
	PULL_MOST = 960,
	STEPS = 128,         /* of a script; the rest is not looked at ... */
	SOUND = 120 * PACKET /* ... nor is what comes after so much sound: more runs find more than longer ones */
};

static void pull(struct oh_playout *playout, size_t n, int64_t now_ns)
{
	const struct oh_playout_counters *c = oh_playout_counters(playout);
	uint64_t                          before = c->played_samples;
	int16_t                          *out = malloc(n * sizeof(*out)); /* a sample too many would show */

	if (!out)
		abort();
	oh_playout_get(playout, out, n, now_ns);
	free(out);
	if (c->played_samples != before + n ||
	    c->heard_samples + c->concealed_samples + c->comfort_samples + c->inserted_samples != c->played_samples ||
	    c->lost > UINT64_MAX / 2 || c->delay_us > UINT64_MAX / 2)
		abort();
	(void)oh_playout_delay_ms(playout);
	(void)oh_playout_target_ms(playout);
}

/* A stream that is as it should be. */
static void end_well(struct oh_playout *playout, const uint8_t *payload, uint16_t seq, uint32_t timestamp, int64_t now_ns)
{
	const struct oh_playout_counters *c = oh_playout_counters(playout);
	uint64_t                          heard = 0, delay_us = 0;

	oh_playout_restart(playout);
	for (int i = 0; i < 1100; i++, now_ns += 20 * MS) {
		struct oh_playout_packet packet = { payload, PACKET, timestamp += PACKET, ++seq, false };

		if (oh_playout_put(playout, &packet, now_ns) != 0)
			abort();
		if (i == 1000) { /* the longest memory, of anything at all, has faded to less than 80 ms after 20 s */
			heard = c->heard_samples;
			delay_us = c->delay_us;
		}
		pull(playout, PACKET, now_ns + 5 * MS);
	}
	if (c->heard_samples - heard < 95 * PACKET || c->delay_us - delay_us > 80000 * (c->heard_samples - heard))
		abort();
}

/* Each step: what to do, and three numbers for it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t     payload[OH_CODEC_PAYLOAD_MAX + 16];
	struct oh_playout *playout;
	int64_t            now_ns = 1000 * MS;
	uint16_t           seq = 65530;
	uint32_t           timestamp = 0xffffff00u;

	if (size == 0 || oh_playout_open(&playout, (enum oh_codec)(data[0] / 16 % 3), data[0]) < 0)
		return 0;
	memset(payload, 0, sizeof(payload));
	for (size_t at = 0; at + 4 <= size && at < 4 * STEPS && oh_playout_counters(playout)->played_samples < SOUND; at += 4) {
		const uint8_t           *step = data + at;
		struct oh_playout_packet packet = { payload, PACKET, timestamp, seq, false };
		size_t                   wide = (size_t)step[1] << 8 | step[2];
		bool                     next = true;

		payload[wide % sizeof(payload)] = step[3];
		switch (step[0] % 12) {
		case 0: /* of any length */
			packet.len = wide % sizeof(payload);
			break;
		case 1: /* one from before or ahead */
			packet.seq = (uint16_t)(seq + (int8_t)step[1]);
			packet.timestamp = timestamp + (uint32_t)((int8_t)step[1] * PACKET);
			next = false;
			break;
		case 2: /* one from anywhere */
			packet.seq = (uint16_t)wide;
			packet.timestamp = (uint32_t)step[2] << 24 | (uint32_t)step[3] << 12;
			next = false;
			break;
		case 3:
			packet.comfort = true;
			packet.len = step[1] % 3;
			break;
		case 4: /* a silence, or a jump of the timestamp */
			packet.timestamp = timestamp += (uint32_t)(int16_t)(uint16_t)wide * (step[3] % 2 ? 1u : 100u);
			break;
		case 5: /* packets lost */
			seq = (uint16_t)(seq + step[1] % 64);
			timestamp += step[1] % 64u * PACKET;
			continue;
		case 6: /* time, and nobody pulls */
			now_ns += (int64_t)wide * MS;
			continue;
		case 7: /* pulls, and nothing comes */
			for (int i = 0; i < step[1] % 64; i++)
				pull(playout, PACKET, now_ns += 20 * MS);
			continue;
		case 8:
			oh_playout_restart(playout);
			continue;
		case 9: /* a burst */
			for (int i = 0; i < step[1] % 32 * (step[2] % 8); i++) {
				packet.seq = seq++;
				packet.timestamp = timestamp += PACKET;
				(void)oh_playout_put(playout, &packet, now_ns);
			}
			continue;
		default:
			break;
		}
		(void)oh_playout_put(playout, &packet, now_ns);
		if (next) {
			seq++;
			timestamp += (uint32_t)packet.len;
		}
		pull(playout, 80u * (1u + step[3] % (PULL_MOST / 80)), now_ns += (int64_t)(step[3] % 40) * MS);
	}
	if (data[0] == 10 && size % 16 == 0) /* costly: not every time; G.711 */
		end_well(playout, payload, seq, timestamp, now_ns);
	oh_playout_close(playout);
	return 0;
}
