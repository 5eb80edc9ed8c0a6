/*
 * command.h - how other threads ask the media thread for something: verbs.c, rooms.c, ice.c and secure.c make commands,
 * command.c carries them.
 */
#ifndef OH_COMMAND_H
#define OH_COMMAND_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "oh_core.h"
#include "oh_digits.h"

struct oh_command;
struct oh_playout;
struct oh_port;

typedef int oh_command_run(struct oh_core *core, struct oh_command *command); /* on the media thread */

struct oh_command {
	struct oh_command *next;                                  /* older one in the stack */
	oh_command_run    *run;
	sem_t              answered;
	_Atomic int        state;                                 /* enum in command.c: who may run and who frees it */
	int                result;                                /* 0 or a negative errno */
	uint32_t           port;                                  /* the port it is about */
	uint32_t           a, b;                                  /* arguments, and numbers answered */
	uint64_t           wide;                                  /* likewise */
	void              *thing;                                 /* a port, prompt, recording, segment to hand over: the core's
	                                                           * where the answer is 0, else still the asker's */
	union {
		struct oh_remote        remote;
		struct oh_port_counters port_counters;
		struct oh_core_counters core_counters;
		char                    keys[OH_DIGITS_MAX + 1u];
		struct oh_datagram      datagram;
	} of;
};

/* What a port codes and decodes by, as it is handed over: made in the asking thread, and what was there before is given
 * back to that thread to be freed. */
struct oh_codecs {
	struct oh_encoder  encoder;
	struct oh_decoder  decoder;
	struct oh_playout *playout; /* NULL, until it is known that the port is in a room */
};

struct oh_command *oh_command_new(oh_command_run *run, uint32_t port); /* NULL: no memory */
void oh_command_free(struct oh_command *command);
/* Ask and wait. After 0 the command is still the caller's, to read the answer from and free; else it is gone. After
 * -ETIMEDOUT it may be carried out yet, but not where it has a `thing`: nothing is made that nobody knows of. */
int  oh_command_ask(struct oh_core *core, struct oh_command *command);
/* Ask for something that has no answer but done or refused; the command is gone. */
int  oh_command_do(struct oh_core *core, struct oh_command *command);
/* Ask and do not wait: it is carried out in its turn. The command is gone, and has no `thing`. */
void oh_command_leave(struct oh_core *core, struct oh_command *command);
struct oh_port *oh_command_port(struct oh_core *core, const struct oh_command *command); /* its clock read; or NULL */
void oh_commands_run(struct oh_core *core);
void oh_commands_refuse(struct oh_core *core);

#endif
