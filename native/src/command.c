/*
 * command.c - how other threads ask the media thread for something, and wait for its answer.
 *
 * Commands lie on a stack that anyone may push to and the media thread takes whole. Who asked waits on the command's
 * semaphore; if the media thread has not begun it in time the command is left to that thread, which carries it out
 * where it hands over nothing (a close that comes late is still a close), and frees it.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "engine.h"

enum state { ASKED, BEGUN, ANSWERED, LEFT };

struct oh_command *oh_command_new(oh_command_run *run, uint32_t port)
{
	struct oh_command *command = calloc(1, sizeof(*command));

	if (command == NULL)
		return NULL;
	command->run = run;
	command->port = port;
	atomic_init(&command->state, ASKED);
	(void)sem_init(&command->answered, 0, 0);
	return command;
}

void oh_command_free(struct oh_command *command)
{
	if (command == NULL)
		return;
	(void)sem_destroy(&command->answered);
	free(command);
}

/* Carry it out, or refuse it where there is no core any more to carry it out on. */
static void finish(struct oh_core *core, struct oh_command *command, bool refuse)
{
	bool left = atomic_exchange(&command->state, BEGUN) == LEFT;

	command->result = refuse ? -ESHUTDOWN : left && command->thing != NULL ? -ETIMEDOUT : command->run(core, command);
	if (left) {
		oh_command_free(command);
		return;
	}
	atomic_store(&command->state, ANSWERED);
	(void)sem_post(&command->answered); /* and it is the asker's: not touched from here on */
}

static void push(struct oh_core *core, struct oh_command *command)
{
	uint64_t one = 1;

	command->next = atomic_load_explicit(&core->commands, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&core->commands, &command->next, command, memory_order_release,
	                                              memory_order_relaxed))
		continue;
	while (write(core->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		continue;
}

void oh_command_leave(struct oh_core *core, struct oh_command *command)
{
	atomic_store(&command->state, LEFT);
	push(core, command);
}

int oh_command_do(struct oh_core *core, struct oh_command *command)
{
	int result = oh_command_ask(core, command);

	if (result == 0)
		oh_command_free(command);
	return result;
}

struct oh_port *oh_command_port(struct oh_core *core, const struct oh_command *command)
{
	struct oh_port *port = oh_core_port(core, command->port);

	if (port != NULL)
		port->now_ns = oh_now_ns();
	return port;
}

int oh_command_ask(struct oh_core *core, struct oh_command *command)
{
	struct timespec until;
	int             asked;
	int             result;

	if (command == NULL)
		return -ENOMEM;
	push(core, command);
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += OH_ANSWER_MS / 1000u;
	while (sem_clockwait(&command->answered, CLOCK_MONOTONIC, &until) < 0) {
		if (errno == EINTR)
			continue;
		asked = ASKED;
		if (atomic_compare_exchange_strong(&command->state, &asked, LEFT))
			return -ETIMEDOUT;
		/* Begun in this very moment: that is a matter of microseconds. */
		while (sem_wait(&command->answered) < 0 && errno == EINTR)
			continue;
		break;
	}
	(void)atomic_load(&command->state); /* the semaphore says it all, but no thread checker knows sem_clockwait */
	result = command->result;
	if (result < 0)
		oh_command_free(command);
	return result;
}

/* In the order in which they were asked. */
static struct oh_command *take_all(struct oh_core *core)
{
	struct oh_command *newest = atomic_exchange_explicit(&core->commands, NULL, memory_order_acquire);
	struct oh_command *oldest = NULL;

	while (newest != NULL) {
		struct oh_command *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

void oh_commands_run(struct oh_core *core)
{
	struct oh_command *command;

	if (atomic_load_explicit(&core->commands, memory_order_relaxed) == NULL)
		return;
	command = take_all(core);
	while (command != NULL) {
		struct oh_command *next = command->next;

		finish(core, command, false);
		command = next;
	}
}

void oh_commands_refuse(struct oh_core *core)
{
	struct oh_command *command = take_all(core);

	while (command != NULL) {
		struct oh_command *next = command->next;

		finish(core, command, true);
		command = next;
	}
}
