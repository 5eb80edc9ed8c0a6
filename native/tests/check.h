/*
 * check.h - what a C test program needs: checks that say what differed, and a main that names each test.
 *
 * A failed check prints and ends the program with status 1. Not a framework.
 */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(truth)                                                                                                   \
	do {                                                                                                           \
		if (!(truth)) {                                                                                        \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #truth);                            \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#define CHECK_INT(is, should)                                                                                          \
	do {                                                                                                           \
		int64_t is_ = (int64_t)(is), should_ = (int64_t)(should);                                              \
		if (is_ != should_) {                                                                                  \
			fprintf(stderr, "%s:%d: %s is %" PRId64 ", should be %" PRId64 "\n", __FILE__, __LINE__, #is,  \
			        is_, should_);                                                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#define CHECK_BELOW(is, limit)                                                                                         \
	do {                                                                                                           \
		double is_ = (double)(is), limit_ = (double)(limit);                                                   \
		if (!(is_ < limit_)) {                                                                                 \
			fprintf(stderr, "%s:%d: %s is %g, should be below %g\n", __FILE__, __LINE__, #is, is_, limit_); \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

#define RUN(test)                                                                                                      \
	do {                                                                                                           \
		printf("%s\n", #test);                                                                                 \
		fflush(stdout);                                                                                        \
		test();                                                                                                \
	} while (0)

/* Noise that is the same everywhere (Marsaglia's xorshift). */
static inline uint32_t noise(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

#endif
