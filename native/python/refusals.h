/*
 * refusals.h - the engine's error numbers as sentences for the person who can mend them.
 */
#ifndef OH_REFUSALS_H
#define OH_REFUSALS_H

/* What `verb` (a function's name as Python sees it) means by `error` (a negative errno): never NULL. */
const char *oh_refusal(const char *verb, int error);

#endif
