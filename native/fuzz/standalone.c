/*
 * standalone.c - a fuzz target without libFuzzer: seeded mutations of a corpus, so that any compiler's build can run them.
 *
 *   fuzz_NAME_standalone [-n RUNS] [-s SEED] [-t SECONDS] [FILE ...]
 *
 * Files are the corpus (single inputs, such as a crash to repeat: -n 0 runs each once and ends). The input of a run
 * that fails is printed as hex before the program dies, with the seed that repeats it. Coverage guides nothing here.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST = 2048, CORPUS = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
void __asan_on_error(void);

struct input {
	size_t  len;
	uint8_t bytes[LONGEST];
};

static struct input corpus[CORPUS];
static size_t       corpus_count;
static struct input current;

static uint32_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void say(const char *text, size_t len)
{
	if (write(2, text, len) < 0)
		_exit(3);
}

static void tell(void)
{
	static const char digits[] = "0123456789abcdef";

	say("input: ", 7);
	for (size_t i = 0; i < current.len; i++) {
		char hex[2] = { digits[current.bytes[i] >> 4], digits[current.bytes[i] & 15] };

		say(hex, 2);
	}
	say("\n", 1);
}

/* Called by the address sanitizer, where it is there, before it ends the program. */
void __asan_on_error(void)
{
	tell();
}

static void on_abort(int signal_number)
{
	(void)signal_number;
	tell();
	_exit(1);
}

/* Inputs that are near to being right, for a corpus of none. */
static void seed_corpus(void)
{
	static const uint8_t rtp[] = { 0xb1, 0x80, 0, 1, 0, 0, 0, 160, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 5, 1 };
	static const uint8_t rtcp[] = {
		0x81, 200, 0, 12, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 160, 0, 0, 0, 2, 0, 0, 1, 64,
		0, 0, 0, 9, 64, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 3, 1, 1, 1, 1, 0, 1, 0, 0,
		0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, 'a', 'b', 0x81, 203, 0, 2, 0, 0, 0, 1, 2, 'b', 'y', 0,
	};
	static const uint8_t stun[] = { 0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 3, 'a', ':', 'b', 0 };

	corpus[0].len = sizeof(rtp);
	memcpy(corpus[0].bytes, rtp, sizeof(rtp));
	corpus[1].len = sizeof(rtcp);
	memcpy(corpus[1].bytes, rtcp, sizeof(rtcp));
	corpus[2].len = 400; /* a call of a hundred packets on time */
	for (size_t i = 0; i < 400; i++)
		corpus[2].bytes[i] = i % 4 == 0 ? 9 : i % 4 == 3 ? 20 : 0;
	memcpy(corpus[3].bytes, stun, sizeof(stun));
	corpus[3].len = sizeof(stun);
	for (size_t i = 0; i < 300; i++) /* datagrams from two sides of an ICE port: selected, STUN, DTLS, RTP, RTCP */
		corpus[4].bytes[i] = (const uint8_t[]){0xa5, 9, 1, 1, 0x25, 9, 22, 254, 0x25, 9, 128, 0, 0x26, 9, 129, 200}[i % 16];
	corpus[4].len = 300;
	memcpy(corpus[5].bytes + 1, rtp, sizeof(rtp)); /* and with new keys, for SRTP */
	corpus[5].bytes[0] = 0x24;
	corpus[5].len = 1 + sizeof(rtp);
	corpus_count = 6;
}

static void mutate(uint64_t *state)
{
	uint32_t changes = 1 + next(state) % 8;

	current = corpus[next(state) % corpus_count];
	while (changes-- > 0) {
		size_t   at = current.len ? next(state) % current.len : 0;
		uint32_t most = next(state) % 64;

		switch (next(state) % 6) {
		case 0: /* a bit */
			if (current.len)
				current.bytes[at] ^= (uint8_t)(1u << next(state) % 8);
			break;
		case 1: /* a byte */
			if (current.len)
				current.bytes[at] = (uint8_t)next(state);
			break;
		case 2: /* an edge */
			if (current.len)
				current.bytes[at] = next(state) % 2 ? 0xff : 0;
			break;
		case 3: /* shorter */
			current.len = at;
			break;
		case 4: /* longer */
			for (uint32_t i = 0; i < most && current.len < LONGEST; i++)
				current.bytes[current.len++] = (uint8_t)next(state);
			break;
		default: { /* a piece again, somewhere else */
			size_t to = current.len ? next(state) % current.len : 0;

			for (uint32_t i = 0; i < most && at + i < current.len && to + i < LONGEST; i++) {
				current.bytes[to + i] = current.bytes[at + i];
				if (to + i >= current.len)
					current.len = to + i + 1;
			}
		}
		}
	}
}

/* The input in a block of exactly its size, so that every read past it shows. */
static void run(void)
{
	uint8_t *data = malloc(current.len ? current.len : 1);

	if (!data)
		abort();
	memcpy(data, current.bytes, current.len);
	LLVMFuzzerTestOneInput(data, current.len);
	free(data);
}

int main(int argc, char **argv)
{
	uint64_t runs = UINT64_MAX, seed = 1, state, done = 0;
	long     seconds = 0;
	int      option;

	while ((option = getopt(argc, argv, "n:s:t:")) != -1) {
		if (option == 'n')
			runs = strtoull(optarg, NULL, 10);
		else if (option == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 't')
			seconds = strtol(optarg, NULL, 10);
		else
			return 2;
	}
	if (runs == UINT64_MAX && seconds == 0)
		runs = 100000;
	signal(SIGABRT, on_abort);
	seed_corpus();
	for (int i = optind; i < argc && corpus_count < CORPUS; i++) {
		FILE *file = fopen(argv[i], "rb");

		if (!file) {
			fprintf(stderr, "cannot read %s\n", argv[i]);
			return 2;
		}
		corpus[corpus_count].len = fread(corpus[corpus_count].bytes, 1, LONGEST, file);
		corpus_count++;
		fclose(file);
	}
	for (size_t i = 0; i < corpus_count; i++) {
		current = corpus[i];
		run();
	}

	struct timespec begun, is;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (state = seed; done < runs; done++) {
		mutate(&state);
		run();
		if (done % 256 == 0 && corpus_count < CORPUS) /* let some mutants breed */
			corpus[corpus_count++] = current;
		if (seconds > 0 && done % 64 == 0) {
			clock_gettime(CLOCK_MONOTONIC, &is);
			if (is.tv_sec - begun.tv_sec >= seconds)
				break;
		}
	}
	printf("%" PRIu64 " runs, seed %" PRIu64 "\n", done, seed);
	return 0;
}
