/*
 * hammer.h - what the hammer's parts share: the board, on which every thread finds ports, rooms and prompts to lay hands
 * on, whoever brought them; and dice.
 *
 * The board is atomics alone: a lock would order the threads, and hide from the thread sanitizer what the core does not.
 */
#ifndef HAMMER_H
#define HAMMER_H

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "check.h"
#include "oh_core.h"
#include "oh_slots.h"

#define ASKERS   4u
#define SENDERS  2u
#define PORTS    14u
#define ROOMS    4u
#define PROMPTS  4u
#define SLOTS    8u      /* as many for each asker */
#define OWN_FAR  6u      /* sockets that packets come from, on three addresses */

struct board {
	struct oh_core     *core;
	_Atomic bool        over;
	_Atomic uint64_t    ports[PORTS];     /* number << 16 | UDP port; 0: none */
	_Atomic uint32_t    rooms[ROOMS];
	_Atomic uint32_t    prompts[PROMPTS];
	_Atomic uint32_t    next_prompt;
	uint32_t            segment;
	int                 segment_fd;
	struct oh_slots_header *slots;
	struct sockaddr_in  far[OWN_FAR];
	int                 far_fds[OWN_FAR];
	const char         *folder;           /* for tracks */
	int64_t             scene_ns;         /* for so long the pace stays the same */
	uint32_t            seed;             /* of this round */
	_Atomic uint64_t    late_answers;     /* -ETIMEDOUT: the machine is overloaded, and nothing else is wrong */
};

struct dice {
	uint32_t state;
};

static inline struct dice dice_of(uint32_t seed, uint32_t thread)
{
	struct dice dice = {(seed * 2654435761u) ^ (thread * 40503u + 1u)};

	if (dice.state == 0)
		dice.state = 1;
	for (int i = 0; i < 8; i++)
		(void)noise(&dice.state);
	return dice;
}

static inline uint32_t below(struct dice *dice, uint32_t n)
{
	return (uint32_t)(((uint64_t)noise(&dice->state) * n) >> 32);
}

static inline bool one_in(struct dice *dice, uint32_t n)
{
	return below(dice, n) == 0;
}

static inline uint64_t wide_dice(struct dice *dice)
{
	uint64_t high = noise(&dice->state);

	return high << 32 | noise(&dice->state);
}

static inline int64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void nap_us(long us)
{
	struct timespec moment = {us / 1000000, us % 1000000 * 1000};

	if (us > 0)
		(void)nanosleep(&moment, NULL);
}

static inline uint64_t any_port(const struct board *board, struct dice *dice)
{
	return atomic_load_explicit(&board->ports[below(dice, PORTS)], memory_order_relaxed);
}

static inline uint32_t number_of(uint64_t port)
{
	return (uint32_t)(port >> 16);
}

static inline uint16_t udp_of(uint64_t port)
{
	return (uint16_t)port;
}

/* hammer_verbs.c: ask one thing. Ends the program where the answer is none that oh_core.h names. */
struct asker {
	struct board *board;
	struct dice   dice;
	uint32_t      number;
	uint32_t      tracks;  /* recordings begun: names come round, and with them the files go */
	bool          calm;    /* leave ports open and where they are, for what takes time to go wrong */
};

void ask(struct asker *asker);
void clear_board(struct board *board);
void print_verbs(void); /* how often each was done, of how often it was asked for */
bool all_done(void);    /* each of them, once at least */

/* hammer_packets.c: a far end, and one packet of it; false: it is over. */
struct sender;

struct sender *sender_make(struct board *board, uint32_t number);
bool           send_some(struct sender *sender);
void           sender_free(struct sender *sender);

#endif
