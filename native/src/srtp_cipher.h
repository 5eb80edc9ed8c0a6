/*
 * srtp_cipher.h - the ciphers that libsrtp2 is to work with. Private to srtp.c.
 */
#ifndef OH_SRTP_CIPHER_H
#define OH_SRTP_CIPHER_H

/* Put them in place of the library's own, which tests them first. After srtp_init, once. 0; -ENOTSUP: they failed. */
int oh_srtp_ciphers_install(void);

#endif
