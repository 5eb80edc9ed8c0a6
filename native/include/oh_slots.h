/*
 * oh_slots.h - the memory that the media core and a speech worker share.
 *
 * One segment (a memfd made by the edge process) holds one row per slot. A row is two rings of 16 kHz mono
 * signed 16-bit samples and four cache lines of cursors:
 *
 *   listen ring   written by the core (what the caller says), read by the worker
 *   play ring     written by the worker (what the agent says), read by the core
 *
 * Each field has exactly one writer, named beside it. Cursors count samples since the slot was bound and never
 * wrap (64 bits); a sample's place in its ring is cursor % OH_RING_SAMPLES. A writer stores samples first, then
 * its cursor with release order; a reader loads the cursor with acquire order.
 *
 * An epoch names one binding of a slot to a port. Binding or rebinding a slot takes a new epoch and zeroes every
 * cursor; the core plays nothing from a row whose `speak_epoch` is not the row's `epoch`, so a worker that died,
 * or one that still speaks to the slot's last caller, is never heard.
 *
 * server/offhook/speech/slots.py mirrors this layout with NumPy; tests/speech/test_slots.py holds the two together.
 */
#ifndef OH_SLOTS_H
#define OH_SLOTS_H

#include <stdatomic.h>
#include <stdint.h>

#define OH_SLOTS_MAGIC   0x31544F4C53484FULL /* "OHSLOT1", little endian */
#define OH_SLOTS_VERSION 1u
#define OH_RING_SAMPLES  65536u /* per ring: 4.096 s at 16 kHz; a power of two */
#define OH_SLOT_RATE_HZ  16000u
#define OH_HOP_SAMPLES   1280u /* 80 ms */

struct oh_slots_header { /* 4096 bytes, at offset 0 */
	uint64_t magic;
	uint32_t version;
	uint32_t slots;
	uint64_t stride;       /* bytes from one row to the next: sizeof(struct oh_slot_row) */
	uint32_t ring_samples; /* OH_RING_SAMPLES */
	uint32_t rate_hz;      /* OH_SLOT_RATE_HZ */
	uint8_t  pad[4096 - 32];
};

struct oh_slot_row {
	/* line 0: written by the core, when a port is bound to the slot or leaves it */
	_Atomic uint32_t epoch;    /* 0: never bound; else the number of this binding */
	_Atomic uint32_t live;     /* 1 while a port is bound */
	_Atomic uint64_t bound_at; /* the port's media clock (8 kHz samples since it opened) at binding */
	uint8_t          pad0[48];

	/* line 1: written by the core, every packet; none of it moves while the far end holds us */
	_Atomic uint64_t heard;     /* listen ring: write cursor */
	_Atomic uint64_t concealed; /* of those, samples made up behind a gap */
	_Atomic uint64_t missing;   /* of those, samples filled because no packets came at all: not the caller's silence */
	_Atomic uint64_t heard_ns;  /* CLOCK_MONOTONIC of the newest write to the listen ring */
	uint8_t          pad1[32];

	/* line 2: written by the core, every packet it sends */
	_Atomic uint64_t taken;      /* play ring: read cursor (played + cut) */
	_Atomic uint64_t played;     /* samples that really went to the wire */
	_Atomic uint64_t starved;    /* samples of silence sent between samples of one utterance: the worker was late */
	_Atomic uint64_t cut_done;   /* the last cut_seq carried out */
	_Atomic uint64_t cut_played; /* `played` at that moment */
	uint8_t          pad2[24];

	/* line 3: written by the worker */
	_Atomic uint64_t spoken;      /* play ring: write cursor */
	_Atomic uint32_t speak_epoch; /* the epoch those samples are meant for */
	_Atomic uint32_t speaking;    /* 1 while more samples of the same utterance will follow (for `starved`) */
	_Atomic uint64_t cut_before;  /* cut: drop what lies before this cursor ... */
	_Atomic uint64_t cut_seq;     /* ... when this number grows; stored after cut_before */
	uint8_t          pad3[32];

	int16_t listen[OH_RING_SAMPLES];
	int16_t play[OH_RING_SAMPLES];
};

_Static_assert(sizeof(struct oh_slots_header) == 4096, "header is one page");
_Static_assert(sizeof(struct oh_slot_row) == 256 + 4 * OH_RING_SAMPLES, "row: four lines and two rings");

#endif
