/*
 * listen_trace.c - replay a trace of one-way delays through the listening buffer and say what it added.
 *
 *   listen_trace DELAYS SPACING_MS [LOSSES [SOUND PCM HELD]]
 *
 * DELAYS holds one delay in nanoseconds a line, SPACING_MS apart; LOSSES, line by line beside it, 1 where the packet was
 * lost. A packet of 20 ms leaves every 20 ms; the buffer is ticked every 20 ms, as the engine does. Prints one line of
 * name=value pairs: added delay is from a packet's arrival to its release, over all packets heard; the percentages are
 * of the stream's samples.
 *
 * SOUND is mu-law that the packets carry, read round and round; PCM is written with what the reader hears, 16-bit samples
 * of this machine's byte order at 8 kHz; HELD with one line a packet heard: when it was released and how long after its
 * arrival, in ns.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oh_listen.h"

enum { MOST = 1000000, PACKET = 160 };

#define MS 1000000ll

struct flight {
	int64_t  arrives_ns;
	uint32_t i;
};

static struct oh_listen listen;
static int64_t          now_ns;
static int64_t         *arrived, *added; /* by packet */
static size_t           heard;
static int64_t          total, made_up;
static FILE            *pcm, *held;

static void hear(void *arg, const struct oh_listen_frame *frame)
{
	(void)arg;
	if (oh_listen_live(frame->kind)) {
		total += (int64_t)frame->n;
		if (pcm)
			fwrite(frame->pcm, sizeof(*frame->pcm), frame->n, pcm);
	}
	if (frame->kind == OH_CONCEALED || frame->kind == OH_MISSING)
		made_up += (int64_t)frame->n;
	if (frame->kind == OH_HEARD) {
		added[heard++] = now_ns - arrived[frame->timestamp / PACKET];
		if (held)
			fprintf(held, "%" PRId64 " %" PRId64 "\n", now_ns, added[heard - 1]);
	}
}

static FILE *open_or_exit(const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);

	if (!file) {
		fprintf(stderr, "listen_trace: cannot open %s\n", path);
		exit(2);
	}
	return file;
}

/* Whole packets of sound; silence where there is none. */
static uint8_t *read_sound(const char *path, size_t *packets)
{
	uint8_t *sound = malloc((size_t)MOST * PACKET);

	if (!sound)
		exit(2);
	memset(sound, 0xFF, PACKET);
	*packets = 1;
	if (path) {
		FILE *file = open_or_exit(path, "rb");

		*packets = fread(sound, PACKET, MOST, file);
		fclose(file);
	}
	if (*packets == 0) {
		fprintf(stderr, "listen_trace: no packet's worth of sound in %s\n", path);
		exit(2);
	}
	return sound;
}

static int64_t *read_column(const char *path, size_t *count)
{
	FILE    *file = fopen(path, "r");
	int64_t *values = malloc(MOST * sizeof(*values));
	double   value;

	if (!file || !values) {
		fprintf(stderr, "listen_trace: cannot read %s\n", path);
		exit(2);
	}
	for (*count = 0; *count < MOST && fscanf(file, "%lf", &value) == 1;)
		values[(*count)++] = (int64_t)value;
	fclose(file);
	return values;
}

static int by_arrival(const void *a, const void *b)
{
	const struct flight *x = a, *y = b;

	if (x->arrives_ns != y->arrives_ns)
		return x->arrives_ns < y->arrives_ns ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

int main(int argc, char **argv)
{
	int64_t spacing_ms = argc > 2 ? strtoll(argv[2], NULL, 10) : 0;

	if (argc < 3 || argc == 5 || argc == 6 || argc > 7 || spacing_ms <= 0 || 20 % spacing_ms != 0) {
		fprintf(stderr, "usage: listen_trace DELAYS SPACING_MS [LOSSES [SOUND PCM HELD]]; SPACING_MS divides 20\n");
		return 2;
	}

	size_t         delays, losses = 0, flying = 0;
	int64_t       *delay_ns = read_column(argv[1], &delays);
	int64_t       *lost = argc > 3 ? read_column(argv[3], &losses) : NULL;
	size_t         step = (size_t)(20 / spacing_ms), packets = delays / step;
	struct flight *flight = calloc(packets + 1, sizeof(*flight));

	arrived = calloc(packets + 1, sizeof(*arrived));
	added = calloc(packets + 1, sizeof(*added));
	if (!flight || !arrived || !added)
		return 2;
	for (size_t i = 0; i < packets; i++) {
		arrived[i] = (int64_t)i * 20 * MS + delay_ns[i * step];
		if (i * step < losses && lost[i * step])
			continue;
		flight[flying++] = (struct flight){ arrived[i], (uint32_t)i };
	}
	qsort(flight, flying, sizeof(*flight), by_arrival);

	size_t   sounds;
	uint8_t *sound = read_sound(argc > 4 ? argv[4] : NULL, &sounds);
	int64_t  tick_ns = 0;

	if (argc > 4) {
		pcm = open_or_exit(argv[5], "wb");
		held = open_or_exit(argv[6], "w");
	}
	oh_listen_init(&listen, hear, NULL, 1);
	for (size_t k = 0; k < flying; k++) {
		struct oh_listen_packet packet = {
			sound + flight[k].i % sounds * PACKET, PACKET, OH_CARRIES_AUDIO, 1, flight[k].i * PACKET, (uint16_t)flight[k].i,
		};

		for (; tick_ns <= flight[k].arrives_ns; tick_ns += 20 * MS)
			oh_listen_tick(&listen, now_ns = tick_ns);
		oh_listen_put(&listen, &packet, now_ns = flight[k].arrives_ns);
	}
	qsort(added, heard, sizeof(*added), by_value);

	double sum = 0;

	for (size_t i = 0; i < heard; i++)
		sum += (double)added[i];
	printf("packets=%zu arrived=%zu heard=%zu mean_added_ms=%.3f p99_added_ms=%.3f max_added_ms=%.3f made_up_percent=%.3f "
	       "late=%" PRIu64 " skipped_percent=%.3f restarts=%" PRIu64 "\n",
	       packets, flying, heard, heard ? sum / (double)heard / 1e6 : 0,
	       heard ? (double)added[(heard * 99 + 99) / 100 - 1] / 1e6 : 0, heard ? (double)added[heard - 1] / 1e6 : 0,
	       total ? 100.0 * (double)made_up / (double)total : 0, listen.counters.late,
	       total ? 100.0 * (double)listen.counters.skipped_samples / (double)total : 0, listen.counters.restarts);
	if ((pcm && fclose(pcm) != 0) || (held && fclose(held) != 0)) {
		fprintf(stderr, "listen_trace: cannot write to the end\n");
		return 2;
	}
	free(sound);
	free(delay_ns);
	free(lost);
	free(flight);
	free(arrived);
	free(added);
	return 0;
}
