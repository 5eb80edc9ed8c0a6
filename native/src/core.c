/*
 * core.c - the media thread: its clock, its wheel of ports, its sockets; and the start and end of everything.
 *
 * The wheel has a slot every half millisecond. A port lies in the slot of its next tick and, having ticked, moves on by
 * 10 or 20 ms. Ports are given phases so that few leave at one moment, and few phases so that an almost idle core rarely
 * wakes. The timer is set to the next slot that holds a port; a slot that is run late is run all the same, at its own
 * due time, so that no delay adds up.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "engine.h"
#include "seat.h"

#define EPOLL_BATCH 256
#define TAG_WAKE    0u /* epoll: commands wait */
#define TAG_TIMER   2u /* epoll: a slot is due */
#define NICE        (-10)
#define NEVER       INT64_MAX

int64_t oh_now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

uint32_t oh_random(struct oh_core *core)
{
	/* splitmix64 */
	uint64_t z = core->random += 0x9E3779B97F4A7C15u;

	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
	return (uint32_t)((z ^ (z >> 31)) >> 32);
}

struct oh_port *oh_core_port(struct oh_core *core, uint32_t number)
{
	struct oh_port *port = *oh_core_port_place(core, number);

	return port != NULL && port->number == number ? port : NULL;
}

/* --- pacing */

void oh_pacing_add(struct oh_pacing *pacing, int64_t late_ns)
{
	uint64_t value = late_ns < 0 ? 0 : (uint64_t)late_ns;
	uint32_t octave = 0;
	uint64_t index;

	/* Bucket: the highest bit's place, and the four bits below it; values below 32 each have their own. */
	while (octave < OH_PACING_OCTAVES - 1u && (value >> octave) >= 2u * OH_PACING_STEPS)
		octave++;
	index = octave * OH_PACING_STEPS + (value >> octave);
	if (index >= OH_PACING_OCTAVES * OH_PACING_STEPS)
		index = OH_PACING_OCTAVES * OH_PACING_STEPS - 1u;
	pacing->counts[index]++;
	pacing->total++;
	if (late_ns > pacing->max_ns)
		pacing->max_ns = late_ns;
}

double oh_pacing_us(const struct oh_pacing *pacing, double share)
{
	uint64_t seen = 0;
	uint64_t index = 0;
	double   upper;

	if (pacing->total == 0)
		return 0.0;
	while (index < OH_PACING_OCTAVES * OH_PACING_STEPS - 1u) {
		seen += pacing->counts[index];
		if ((double)seen >= share * (double)pacing->total)
			break;
		index++;
	}
	if (index < 2u * OH_PACING_STEPS)
		upper = (double)(index + 1u);
	else
		upper = (double)((index % OH_PACING_STEPS + OH_PACING_STEPS + 1u) << (index / OH_PACING_STEPS - 1u));
	return (upper < (double)pacing->max_ns ? upper : (double)pacing->max_ns) / 1e3;
}

/* --- the wheel */

static int64_t slot_due(const struct oh_core *core, uint64_t slot)
{
	return core->origin_ns + (int64_t)slot * OH_SLOT_NS;
}

static void put(struct oh_core *core, struct oh_port *port, uint64_t slot)
{
	struct oh_port **place = &core->wheel[slot % OH_WHEEL];

	port->place = (uint32_t)(slot % OH_WHEEL);
	port->next = *place;
	*place = port;
}

void oh_core_place(struct oh_core *core, struct oh_port *port)
{
	uint32_t most = core->open_ports / OH_PHASES + 1u;
	int64_t  now_ns = oh_now_ns();
	uint64_t slot = core->slot;

	if (most < OH_PHASE_PORTS)
		most = OH_PHASE_PORTS;
	port->phase = 0;
	while (port->phase < OH_PHASES - 1u && core->phase_ports[port->phase] >= most)
		port->phase++;
	core->phase_ports[port->phase]++;
	while (slot_due(core, slot) <= now_ns || slot % OH_PHASES != port->phase)
		slot++;
	/* Media clock 0 is the tick before: at most 20 ms ago, so that the clock is never negative. */
	port->opened_ns = slot_due(core, slot) - (int64_t)OH_PHASES * OH_SLOT_NS;
	port->clock = OH_PHASES * OH_SLOT_SAMPLES;
	put(core, port, slot);
}

void oh_core_unplace(struct oh_core *core, struct oh_port *port)
{
	core->phase_ports[port->phase]--;
	for (struct oh_port **place = &core->wheel[port->place]; *place != NULL; place = &(*place)->next) {
		if (*place == port) {
			*place = port->next;
			return;
		}
	}
}

/* The machine slept or the thread did not run: the clocks go on, what would have been sent is not. */
static void skip_lost_time(struct oh_core *core, int64_t now_ns)
{
	while (slot_due(core, core->slot + 2u * OH_JUMP_SLOTS) < now_ns) {
		for (uint32_t i = 0; i < OH_WHEEL; i++) {
			for (struct oh_port *port = core->wheel[i]; port != NULL; port = port->next) {
				port->clock += OH_JUMP_SAMPLES;
				core->counters.ticks_overrun += OH_JUMP_SLOTS / OH_PHASES;
			}
		}
		core->slot += OH_JUMP_SLOTS; /* a multiple of the wheel: ports keep their places */
	}
}

static void run_due(struct oh_core *core)
{
	int64_t  now_ns = oh_now_ns();
	uint64_t most;

	skip_lost_time(core, now_ns);
	most = core->slot + OH_WHEEL / 2u; /* a thread that cannot keep up still reads sockets and answers commands */
	while (core->slot < most && slot_due(core, core->slot) <= now_ns) {
		uint64_t        slot = core->slot++;
		struct oh_port *port = core->wheel[slot % OH_WHEEL];

		core->wheel[slot % OH_WHEEL] = NULL;
		while (port != NULL) {
			struct oh_port *next = port->next;
			int64_t         clock = port->clock;

			/* Thousands of ports and rows lie in no cache: fetch the next one's while this one is worked on. */
			if (next != NULL) {
				oh_voice_near(&next->voice);
				__builtin_prefetch(next->recording);
				if (next->next != NULL)
					__builtin_prefetch(&next->next->voice);
			}

			oh_port_tick(port, slot_due(core, slot));
			put(core, port, slot + (uint64_t)(port->clock - clock) / OH_SLOT_SAMPLES);
			port = next;
		}
		now_ns = oh_now_ns();
	}
}

static void free_drained(struct oh_core *core, bool all)
{
	struct oh_port **place = &core->draining;
	uint32_t         freed = 0;
	int64_t          now_ns;

	if (*place == NULL)
		return;
	now_ns = oh_now_ns();
	if (!all && now_ns < core->drain_look_ns)
		return;
	core->drain_look_ns = now_ns + OH_DRAIN_LOOK_NS;
	while (*place != NULL) {
		struct oh_port *port = *place;

		if (all || port->drain_until <= now_ns) {
			if (!all && ++freed > OH_DRAIN_BATCH) { /* a thousand calls ended at once: packets go between */
				core->drain_look_ns = now_ns + OH_SLOT_NS;
				return;
			}
			*place = port->next;
			oh_port_free(port);
		} else {
			place = &port->next;
		}
	}
}

static void arm(struct oh_core *core)
{
	struct itimerspec timer = {{0, 0}, {0, 0}};
	int64_t           next_ns = NEVER;

	for (uint64_t slot = core->slot; slot < core->slot + OH_WHEEL; slot++) {
		if (core->wheel[slot % OH_WHEEL] != NULL) {
			next_ns = slot_due(core, slot);
			break;
		}
	}
	if (next_ns == NEVER && core->draining != NULL)
		next_ns = core->drain_look_ns;
	if (next_ns == core->armed_ns)
		return;
	core->armed_ns = next_ns;
	if (next_ns != NEVER) {
		timer.it_value.tv_sec = next_ns / 1000000000;
		timer.it_value.tv_nsec = next_ns % 1000000000;
	}
	(void)timerfd_settime(core->timer_fd, TFD_TIMER_ABSTIME, &timer, NULL);
}

/* --- the media thread */

static void idle_slots(struct oh_core *core)
{
	bool any = false;

	for (uint32_t i = 0; i < OH_WHEEL && !any; i++)
		any = core->wheel[i] != NULL;
	if (!any) /* nobody's time is lost: begin again from now */
		core->slot = (uint64_t)((oh_now_ns() - core->origin_ns) / OH_SLOT_NS);
}

static void close_all(struct oh_core *core)
{
	struct timespec moment = {0, 1000000};

	for (uint32_t i = 0; i < OH_MAX_PORTS; i++) {
		if (core->ports[i] != NULL)
			oh_port_leave(core, core->ports[i]);
	}
	oh_rooms_drop(core);
	while (!oh_recording_flush_closing(core)) {
		oh_disk_wake(core, true);
		(void)nanosleep(&moment, NULL);
	}
	oh_disk_wake(core, true);
	oh_event_wake(core);
}

static void *media_main(void *arg)
{
	struct oh_core    *core = arg;
	struct epoll_event events[EPOLL_BATCH];

	(void)prctl(PR_SET_NAME, "oh-media");
	/* Wishes: wake on the microsecond, and before others. */
	(void)prctl(PR_SET_TIMERSLACK, 1);
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
	while (!atomic_load(&core->stop)) {
		int n = epoll_wait(core->epoll_fd, events, EPOLL_BATCH, -1);

		if (core->open_ports == 0)
			idle_slots(core);
		run_due(core); /* what is to leave goes first: it has a time, what arrived has come */
		for (int i = 0; i < n; i++) {
			uint64_t tag = events[i].data.u64;
			uint64_t count;

			if (i + 1 < n && events[i + 1].data.u64 > TAG_TIMER)
				oh_receive_near((const struct oh_port *)(uintptr_t)(events[i + 1].data.u64 & ~(uint64_t)1));

			if (tag == TAG_WAKE) {
				if (read(core->wake_fd, &count, sizeof(count)) < 0)
					count = 0;
			} else if (tag != TAG_TIMER) {
				oh_receive((struct oh_port *)(uintptr_t)(tag & ~(uint64_t)1), (tag & 1u) != 0);
			}
		}
		oh_commands_run(core);
		run_due(core);
		free_drained(core, false);
		(void)oh_recording_flush_closing(core);
		if (core->told_events)
			oh_event_wake(core);
		if (core->told_disk || core->told_end)
			oh_disk_wake(core, core->told_end);
		core->told_events = core->told_disk = core->told_end = false;
		arm(core);
	}
	close_all(core);
	return NULL;
}

/* --- start and end */

static void free_core(struct oh_core *core)
{
	int fds[] = {core->epoll_fd, core->timer_fd, core->wake_fd, core->event_fd, core->disk_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (fds[i] >= 0)
			(void)close(fds[i]);
	}
	oh_prompts_free(core);
	while (core->prompts != NULL) {
		struct oh_prompt *next = core->prompts->next;

		free(core->prompts);
		core->prompts = next;
	}
	for (uint32_t i = 0; i < core->segment_count; i++)
		oh_segment_unmap(&core->segments[i]);
	oh_ring_free(&core->media_events);
	oh_ring_free(&core->disk_events);
	oh_disk_free(core);
	oh_ring_free(&core->datagrams_up);
	free(core);
}

static int open_descriptors(struct oh_core *core)
{
	struct epoll_event wake = {.events = EPOLLIN, .data.u64 = TAG_WAKE};
	/* Edge-triggered: setting the timer anew clears it, so that nobody has to read it. */
	struct epoll_event timer = {.events = EPOLLIN | EPOLLET, .data.u64 = TAG_TIMER};

	core->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	core->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	core->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	core->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	core->disk_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (core->epoll_fd < 0 || core->timer_fd < 0 || core->wake_fd < 0 || core->event_fd < 0 || core->disk_fd < 0)
		return -errno;
	if (epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, core->wake_fd, &wake) < 0 ||
	    epoll_ctl(core->epoll_fd, EPOLL_CTL_ADD, core->timer_fd, &timer) < 0)
		return -errno;
	return 0;
}

static int start_threads(struct oh_core *core)
{
	sigset_t all, before;
	int      error;

	/* Signals are for the program's own threads: these two inherit a mask that lets none through. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&core->disk_thread, NULL, oh_disk_main, core);
	core->disk_runs = error == 0;
	if (error == 0) {
		error = pthread_create(&core->media_thread, NULL, media_main, core);
		core->media_runs = error == 0;
	}
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

int oh_core_start(struct oh_core **core, const struct oh_core_config *config)
{
	struct oh_core *made = calloc(1, sizeof(*made));
	struct in_addr  ip;
	uint64_t        name;
	int             error;

	if (made == NULL)
		return -ENOMEM;
	made->epoll_fd = made->timer_fd = made->wake_fd = made->event_fd = made->disk_fd = -1;
	if (inet_pton(AF_INET, config->address, &ip) != 1 || config->port_low >= config->port_high) {
		free_core(made);
		return -EINVAL;
	}
	made->ip = ip.s_addr;
	made->port_low = config->port_low;
	made->port_high = config->port_high;
	made->origin_ns = oh_now_ns();
	made->armed_ns = NEVER;
	made->next_port = made->next_room = config->first == 0 ? 1 : config->first;
	made->step = config->step == 0 ? 1 : config->step;
	if (getrandom(&made->random, sizeof(made->random), 0) != (ssize_t)sizeof(made->random) ||
	    getrandom(&name, sizeof(name), 0) != (ssize_t)sizeof(name)) {
		free_core(made);
		return -EIO;
	}
	/* RFC 7022: a name that says nothing about the machine. */
	(void)snprintf(made->cname, sizeof(made->cname), "%016llx", (unsigned long long)name);
	error = open_descriptors(made);
	if (error == 0)
		error = oh_ring_init(&made->media_events, sizeof(struct oh_event), OH_EVENT_RING);
	if (error == 0)
		error = oh_ring_init(&made->disk_events, sizeof(struct oh_event), OH_EVENT_RING);
	if (error == 0)
		error = oh_disk_init(made, config->blocks == 0 ? OH_BLOCKS : config->blocks);
	if (error == 0)
		error = oh_ring_init(&made->datagrams_up, sizeof(struct oh_datagram), OH_DATAGRAM_RING);
	if (error == 0)
		error = start_threads(made);
	if (error < 0) {
		oh_core_stop(made);
		return error;
	}
	*core = made;
	return 0;
}

void oh_core_stop(struct oh_core *core)
{
	uint64_t one = 1;

	atomic_store(&core->stop, true);
	if (core->media_runs) {
		while (write(core->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			continue;
		(void)pthread_join(core->media_thread, NULL);
	}
	oh_commands_refuse(core);
	atomic_store(&core->disk_stop, true);
	if (core->disk_runs) {
		atomic_store(&core->disk_until, 1u); /* asleep or not, the descriptor is readable now */
		oh_disk_wake(core, true);
		(void)pthread_join(core->disk_thread, NULL);
	}
	free_drained(core, true);
	free_core(core);
}
