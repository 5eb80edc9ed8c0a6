/*
 * oh_amiss.h - what can never be, and is found to be all the same: counted, and mended by whoever finds it.
 *
 * An assertion ends the process, and thousands of calls with it, for what is one call's muddle. So where a unit on the way
 * of a packet meets a state that its own code rules out, and can go on from there without touching what is not its own, it
 * does so; assertions are left for what the lines beside them show. Whatever is counted here is a fault of the program:
 * builds for tests and fuzzing (OH_AMISS_ENDS) end there, in words.
 *
 * One count for the process, from any thread: what should never be belongs to no port.
 */
#ifndef OH_AMISS_H
#define OH_AMISS_H

#include <stdbool.h>
#include <stdint.h>

#define OH_AMISS_TEXT_(x) #x
#define OH_AMISS_TEXT(x)  OH_AMISS_TEXT_(x)

/* Is it so, what can never be? Then it is counted: `if (OH_AMISS(count == 0)) return;` */
#define OH_AMISS(never)                                                                                                \
	(__builtin_expect(!!(never), 0) && (oh_amiss_found(__FILE__ ":" OH_AMISS_TEXT(__LINE__) ": " #never), true))

/* Count it. `where` lives for ever. */
void oh_amiss_found(const char *where) __attribute__((cold));

/* How often, since the process began; and where the last time ("file:line: what"), "" where never. */
uint64_t    oh_amiss_count(void);
const char *oh_amiss_where(void);

#endif
