/*
 * playout_bench.c - what a pull of 20 ms from the bridge path's buffer costs, and a packet into it; printed, not judged.
 *
 *   playout_bench [PACKETS]
 *
 * A thousand legs in turn, so that each finds the caches as a busy core leaves them. Networks: still (the usual case),
 * 5 % lost, and one that holds packets back for 60 ms every second. Beside them what cannot be avoided: decode and copy.
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check.h"
#include "oh_g711.h"
#include "oh_playout.h"

#define MS 1000000ll

enum { LEGS = 1000, PACKET = 160, SPEECH = 50 };

static uint8_t speech[SPEECH][PACKET];

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* ours alone, however busy the machine is */
	return now.tv_sec * 1000 * MS + now.tv_nsec;
}

static void speak(void)
{
	for (int i = 0; i < SPEECH * PACKET; i++) {
		double  t = 2 * M_PI * 140 * i / 8000, word = i / PACKET % 25 < 15 ? 1 : 0.002;
		int16_t sample = (int16_t)(word * (6000 * sin(t) + 3000 * sin(2 * t + 1) + 1500 * sin(3 * t + 2)));

		oh_g711_encode(OH_ULAW, &sample, &speech[i / PACKET][i % PACKET], 1);
	}
}

/* Does nothing but decode and copy, on as much memory. */
static void plain(int packets)
{
	static int16_t sound[LEGS][2048], out[PACKET];
	int64_t        begun_ns = now_ns();

	for (int i = 0; i < packets; i++)
		for (int leg = 0; leg < LEGS; leg++) {
			oh_g711_decode(OH_ULAW, speech[(i + leg) % SPEECH], sound[leg], PACKET);
			memcpy(out, sound[leg], sizeof(out));
		}
	printf("decode and copy: %.0f ns\n", (double)(now_ns() - begun_ns) / packets / LEGS);
}

static void put(struct oh_playout *playout, int leg, int i, int64_t at_ns)
{
	struct oh_playout_packet packet = {
		speech[(i + leg) % SPEECH], PACKET, (uint32_t)(i * PACKET), (uint16_t)i, false,
	};

	(void)oh_playout_put(playout, &packet, at_ns);
}

static void measure(const char *name, int packets, int loss_percent, bool spikes)
{
	static struct oh_playout *legs[LEGS];
	int64_t                   put_ns = 0, get_ns = 0, begun_ns, changed = 0;
	uint32_t                  state = 1;
	int16_t                   out[PACKET];

	for (int leg = 0; leg < LEGS; leg++)
		CHECK_INT(oh_playout_open(&legs[leg], OH_CODEC_ULAW, (uint32_t)leg), 0);
	for (int i = 0; i < packets; i++) {
		int64_t at_ns = i * 20 * MS;

		begun_ns = now_ns();
		for (int leg = 0; leg < LEGS; leg++) {
			int held = spikes && (i + leg) % 50 < 4 ? (i + leg) % 50 : 0;

			if (held == 3)
				for (int j = 2; j >= 0; j--)
					put(legs[leg], leg, i - j, at_ns);
			else if (held == 0 && (int)(noise(&state) % 100) >= loss_percent)
				put(legs[leg], leg, i, at_ns);
		}
		put_ns += now_ns() - begun_ns;
		begun_ns = now_ns();
		for (int leg = 0; leg < LEGS; leg++)
			oh_playout_get(legs[leg], out, PACKET, at_ns + 15 * MS);
		get_ns += now_ns() - begun_ns;
	}
	for (int leg = 0; leg < LEGS; leg++) {
		const struct oh_playout_counters *c = oh_playout_counters(legs[leg]);

		changed += (int64_t)(c->concealed_samples + c->inserted_samples + c->removed_samples);
		oh_playout_close(legs[leg]);
	}
	printf("%s: put %.0f ns, get %.0f ns; made up, put in or left out %.2f %%\n", name, (double)put_ns / packets / LEGS,
	       (double)get_ns / packets / LEGS, 100.0 * (double)changed / packets / LEGS / PACKET);
}

int main(int argc, char **argv)
{
	int packets = argc > 1 ? atoi(argv[1]) : 1000;

	if (packets <= 0)
		return 2;
	speak();
	plain(packets);
	measure("still", packets, 0, false);
	measure("5 % lost", packets, 5, false);
	measure("held back", packets, 0, true);
	return 0;
}
