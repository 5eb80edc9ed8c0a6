/*
 * playout_trace.c - play recorded arrivals through the bridge path's buffer: sound and figures out.
 *
 *   playout_trace [-c ulaw|alaw|opus] [-p PULL_MS] [-b BEGIN_NS] [-e EXTRA_MS] [-a AUDIO] [-w PCM] [-l LOG] [PACKETS]
 *
 *   -c  the codec (ulaw); opus is at 16 kHz with timestamps at 48
 *   -p  milliseconds between pulls, a multiple of 10 (20)
 *   -b  moment of the first pull in nanoseconds, on the packets' clock (0); its place against the arrivals matters
 *   -e  milliseconds to go on pulling after the last arrival (1000)
 *   -a  a file of encoded sound, which payloads can be taken from
 *   -w  file for the sound: 16-bit samples of this machine's byte order, from the first pull on, at the codec's rate
 *   -l  file for one line a pull: its moment in ns, mean delay of what it gave (us), delay and target (ms), and so far
 *       samples concealed, inserted, removed
 *
 * PACKETS (or standard input) holds a packet a line, in the order of arrival:
 *
 *   ARRIVAL_NS SEQ TIMESTAMP KIND PAYLOAD
 *
 * ARRIVAL_NS is an integer, never less than the line before; SEQ and TIMESTAMP are taken modulo 2^16 and 2^32; KIND is
 * `a` for audio, `c` for comfort noise, `r` for "the stream is another one from here on" (the rest of the line is not
 * looked at). PAYLOAD is hexadecimal digits, or `@OFFSET:LENGTH`, so many bytes of AUDIO, which is read round and round.
 * Lines that begin with `#` and empty ones are skipped.
 *
 * A packet that arrives at the very moment of a pull is there for it. Prints one JSON object: the counters of
 * oh_playout.h by their names, and
 *   mean_delay_ms                        from arrival to the pull, over samples heard
 *   p50_, p95_, p99_, max_delay_ms       over pulls, of what each gave
 *   late_percent, overdue_percent        of packets taken
 *   concealed_percent, stretched_percent, comfort_percent  of samples played; stretched: inserted and removed
 *   worst_at_ms, return_ms               the pull with the longest delay, and how long after it the delay was back
 *                                        within 10 ms of p50 (null: never)
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oh_playout.h"

#define MS 1000000ll

enum { LINE_MAX_BYTES = 8192, PULL_MAX = 1920 };

struct run {
	struct oh_playout *playout;
	uint32_t           rate_hz;
	int64_t            pull_ns;
	int64_t            next_ns; /* of the next pull */
	FILE              *pcm, *log;
	double            *delay_ms; /* of each pull that gave something heard ... */
	int64_t           *at_ns;    /* ... and its moment */
	size_t             pulls, room;
};

static void stop(const char *why, const char *what)
{
	fprintf(stderr, "playout_trace: %s %s\n", why, what);
	exit(2);
}

static void pull(struct run *run)
{
	const struct oh_playout_counters *after = oh_playout_counters(run->playout);
	struct oh_playout_counters        before = *after;
	int16_t                           out[PULL_MAX];
	size_t                            n = (size_t)(run->pull_ns * (int64_t)run->rate_hz / (1000 * MS));

	oh_playout_get(run->playout, out, n, run->next_ns);
	if (run->pcm && fwrite(out, sizeof(*out), n, run->pcm) != n)
		stop("cannot write", "the sound");

	uint64_t heard = after->heard_samples - before.heard_samples;
	double   delay_ms = heard ? (double)(after->delay_us - before.delay_us) / (double)heard / 1000 : 0;

	if (run->log)
		fprintf(run->log, "%" PRId64 " %.0f %d %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", run->next_ns, delay_ms * 1000,
		        oh_playout_delay_ms(run->playout), oh_playout_target_ms(run->playout), after->concealed_samples,
		        after->inserted_samples, after->removed_samples);
	if (heard) {
		if (run->pulls == run->room) {
			run->room = run->room ? 2 * run->room : 4096;
			run->delay_ms = realloc(run->delay_ms, run->room * sizeof(*run->delay_ms));
			run->at_ns = realloc(run->at_ns, run->room * sizeof(*run->at_ns));
			if (!run->delay_ms || !run->at_ns)
				stop("no memory for", "the pulls");
		}
		run->delay_ms[run->pulls] = delay_ms;
		run->at_ns[run->pulls++] = run->next_ns;
	}
	run->next_ns += run->pull_ns;
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The bytes that a payload's text stands for. */
static size_t read_payload(const char *text, const uint8_t *audio, size_t audio_len, uint8_t *out, size_t room)
{
	size_t n = 0;

	if (*text == '@') {
		size_t offset, len;

		if (sscanf(text, "@%zu:%zu", &offset, &len) != 2 || len > room || audio_len == 0)
			stop("cannot take the payload", text);
		for (; n < len; n++)
			out[n] = audio[(offset + n) % audio_len];
		return n;
	}
	for (; digit(text[0]) >= 0 && digit(text[1]) >= 0 && n < room; text += 2)
		out[n++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
	return n;
}

static uint8_t *read_audio(const char *path, size_t *len)
{
	FILE    *file = fopen(path, "rb");
	uint8_t *audio = NULL;
	size_t   room = 0, got;

	if (!file)
		stop("cannot read", path);
	*len = 0;
	do {
		audio = realloc(audio, room += 1u << 20);
		if (!audio)
			stop("no memory for", path);
		got = fread(audio + *len, 1, room - *len, file);
		*len += got;
	} while (got > 0);
	fclose(file);
	return audio;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void print(const struct run *run)
{
	const struct oh_playout_counters *c = oh_playout_counters(run->playout);
	double *sorted = malloc((run->pulls + 1) * sizeof(*sorted));
	size_t  worst = 0, back;

	if (!sorted)
		stop("no memory for", "the figures");
	memcpy(sorted, run->delay_ms ? run->delay_ms : (double[]){ 0 }, run->pulls * sizeof(*sorted));
	qsort(sorted, run->pulls, sizeof(*sorted), by_value);
#define SHARE(percent) (run->pulls ? sorted[(run->pulls - 1) * (percent) / 100] : 0.0)
	for (size_t i = 0; i < run->pulls; i++)
		if (run->delay_ms[i] > run->delay_ms[worst])
			worst = i;
	for (back = worst; back < run->pulls && run->delay_ms[back] > SHARE(50) + 10; back++)
		;

	double packets = c->packets ? (double)c->packets : 1, played = c->played_samples ? (double)c->played_samples : 1;

	printf("{\"packets\": %" PRIu64 ", \"bad\": %" PRIu64 ", \"duplicate\": %" PRIu64 ", \"reordered\": %" PRIu64
	       ", \"late\": %" PRIu64 ", \"overdue\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"discarded\": %" PRIu64
	       ", \"restarts\": %" PRIu64 ", ",
	       c->packets, c->bad, c->duplicate, c->reordered, c->late, c->overdue, c->lost, c->discarded, c->restarts);
	printf("\"played_samples\": %" PRIu64 ", \"heard_samples\": %" PRIu64 ", \"concealed_samples\": %" PRIu64
	       ", \"comfort_samples\": %" PRIu64 ", \"inserted_samples\": %" PRIu64 ", \"removed_samples\": %" PRIu64 ", ",
	       c->played_samples, c->heard_samples, c->concealed_samples, c->comfort_samples, c->inserted_samples,
	       c->removed_samples);
	printf("\"mean_delay_ms\": %.3f, \"p50_delay_ms\": %.3f, \"p95_delay_ms\": %.3f, \"p99_delay_ms\": %.3f, "
	       "\"max_delay_ms\": %.3f, ",
	       c->heard_samples ? (double)c->delay_us / (double)c->heard_samples / 1000 : 0, SHARE(50), SHARE(95), SHARE(99),
	       SHARE(100));
	printf("\"late_percent\": %.3f, \"overdue_percent\": %.3f, \"concealed_percent\": %.3f, \"stretched_percent\": %.3f, "
	       "\"comfort_percent\": %.3f, ",
	       100 * (double)c->late / packets, 100 * (double)c->overdue / packets, 100 * (double)c->concealed_samples / played,
	       100 * (double)(c->inserted_samples + c->removed_samples) / played, 100 * (double)c->comfort_samples / played);
	printf("\"worst_at_ms\": %.1f, ", run->pulls ? (double)run->at_ns[worst] / (double)MS : 0);
	if (back < run->pulls)
		printf("\"return_ms\": %.1f}\n", (double)(run->at_ns[back] - run->at_ns[worst]) / (double)MS);
	else
		printf("\"return_ms\": null}\n");
	free(sorted);
}

static void play(struct run *run, FILE *packets, const uint8_t *audio, size_t audio_len, int64_t extra_ns)
{
	static char    line[LINE_MAX_BYTES], text[LINE_MAX_BYTES];
	static uint8_t payload[LINE_MAX_BYTES / 2];
	int64_t        last_ns = INT64_MIN;

	while (fgets(line, sizeof(line), packets)) {
		int64_t  arrival_ns;
		uint64_t seq = 0, timestamp = 0;
		char     kind;
		int      fields;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		fields = sscanf(line, "%" SCNd64 " %" SCNu64 " %" SCNu64 " %c %8191s", &arrival_ns, &seq, &timestamp, &kind, text);
		if (fields < 4 || (fields < 5 && kind != 'r') || !strchr("acr", kind) || arrival_ns < last_ns)
			stop("not a packet, or not in order:", line);
		for (last_ns = arrival_ns; run->next_ns < arrival_ns;)
			pull(run);
		if (kind == 'r') {
			oh_playout_restart(run->playout);
			continue;
		}

		struct oh_playout_packet packet = {
			.payload = payload,
			.len = read_payload(text, audio, audio_len, payload, sizeof(payload)),
			.timestamp = (uint32_t)timestamp,
			.seq = (uint16_t)seq,
			.comfort = kind == 'c',
		};

		(void)oh_playout_put(run->playout, &packet, arrival_ns); /* counted as bad where it is */
	}
	while (run->next_ns < last_ns + extra_ns)
		pull(run);
}

static FILE *file_or_stop(const char *path, const char *mode)
{
	FILE *file = fopen(path, mode);

	if (!file)
		stop("cannot open", path);
	return file;
}

int main(int argc, char **argv)
{
	struct run    run = { .pull_ns = 20 * MS };
	enum oh_codec codec = OH_CODEC_ULAW;
	uint8_t      *audio = NULL;
	size_t        audio_len = 0;
	int64_t       extra_ns = 1000 * MS;
	int           option;

	while ((option = getopt(argc, argv, "c:p:b:e:a:w:l:")) != -1) {
		switch (option) {
		case 'c':
			if (strcmp(optarg, "ulaw") != 0 && strcmp(optarg, "alaw") != 0 && strcmp(optarg, "opus") != 0)
				stop("no such codec:", optarg);
			codec = optarg[0] == 'a' ? OH_CODEC_ALAW : optarg[0] == 'o' ? OH_CODEC_OPUS : OH_CODEC_ULAW;
			break;
		case 'p':
			run.pull_ns = strtoll(optarg, NULL, 10) * MS;
			if (run.pull_ns <= 0 || run.pull_ns % (10 * MS) != 0 || run.pull_ns > 120 * MS)
				stop("not a multiple of 10 up to 120:", optarg);
			break;
		case 'b':
			run.next_ns = strtoll(optarg, NULL, 10);
			break;
		case 'e':
			extra_ns = strtoll(optarg, NULL, 10) * MS;
			break;
		case 'a':
			audio = read_audio(optarg, &audio_len);
			break;
		case 'w':
			run.pcm = file_or_stop(optarg, "wb");
			break;
		case 'l':
			run.log = file_or_stop(optarg, "w");
			break;
		default:
			return 2;
		}
	}
	run.rate_hz = oh_codec_rate_hz(codec);
	if (oh_playout_open(&run.playout, codec, 1) < 0)
		stop("no memory for", "a playout");
	FILE *packets = optind < argc ? file_or_stop(argv[optind], "r") : stdin;

	play(&run, packets, audio, audio_len, extra_ns);
	print(&run);
	oh_playout_close(run.playout);
	if ((run.pcm && fclose(run.pcm) != 0) || (run.log && fclose(run.log) != 0))
		stop("cannot write", "to the end");
	if (packets != stdin)
		fclose(packets);
	free(audio);
	free(run.delay_ms);
	free(run.at_ns);
	return 0;
}
