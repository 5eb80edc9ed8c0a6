/* amiss.c - a count and a place. */
#include "oh_amiss.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static _Atomic uint64_t      count;
static _Atomic(const char *) last = "";

/* Without the folders of the machine that it was built on. */
static const char *without_folders(const char *where)
{
	const char *file = where;

	for (const char *at = where; *at != '\0' && *at != ':'; at++) {
		if (*at == '/')
			file = at + 1;
	}
	return file;
}

void oh_amiss_found(const char *where)
{
#ifdef OH_AMISS_ENDS
	fprintf(stderr, "this can never be, and is: %s\n", without_folders(where));
	abort();
#endif
	atomic_store_explicit(&last, without_folders(where), memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&count, 1, memory_order_release);
}

uint64_t oh_amiss_count(void)
{
	return atomic_load_explicit(&count, memory_order_acquire);
}

const char *oh_amiss_where(void)
{
	return atomic_load_explicit(&last, memory_order_relaxed);
}
