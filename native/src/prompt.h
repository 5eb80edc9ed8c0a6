/*
 * prompt.h - sounds loaded once and played by any number of ports: prompt.c.
 */
#ifndef OH_PROMPT_H
#define OH_PROMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct oh_core;
struct oh_port;

#define OH_PROMPT_FADE 40u /* a prompt that is cut fades over 5 ms at 8 kHz */

struct oh_prompt {
	struct oh_prompt *next;
	uint32_t          number;
	uint32_t          users;   /* ports that play it */
	bool              dropped; /* forgotten when the last of them is done */
	size_t            n;       /* samples at 8 kHz; twice as many at 16 */
	int16_t          *wide;    /* at 16 kHz; behind `pcm` in the same block */
	int16_t           pcm[];   /* at 8 kHz */
};

struct oh_playing {                      /* a prompt being played */
	struct oh_prompt *prompt;        /* NULL: none */
	size_t            at;            /* next sample of it, at 8 kHz */
	uint64_t          played;        /* samples at 8 kHz */
	uint32_t          number;        /* of this playing */
	bool              loop;
	int16_t           tail[2u * OH_PROMPT_FADE]; /* what still leaves of a prompt that was cut, at the port's rate */
	uint32_t          tail_n;
};

int    oh_prompt_make(const int16_t *pcm, size_t samples, uint32_t rate_hz, struct oh_prompt **prompt);
void   oh_prompt_forget(struct oh_core *core, uint32_t number);
int    oh_prompt_start(struct oh_port *port, uint32_t number, bool loop, uint32_t *play);
void   oh_prompt_cut(struct oh_port *port, int64_t clock);
size_t oh_prompt_say(struct oh_port *port, int16_t *out, size_t n); /* at the port's rate; samples of sound, 0: none */
void   oh_prompts_free(struct oh_core *core); /* disk thread: those that are spent */

#endif
