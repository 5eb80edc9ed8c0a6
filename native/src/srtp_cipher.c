/*
 * srtp_cipher.c - AES counter mode, AES-GCM and HMAC-SHA1 from libcrypto, as libsrtp2 wants them.
 *
 * libsrtp2 is built with whatever ciphers a distribution chose: Debian's asks NSS for a new cipher context for each
 * packet, which is 14 allocations and 2.8 microseconds. These allocate when a key is set and never again.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* SHA1_*: the one face of SHA-1 whose state can be copied without allocating */

#include "srtp_cipher.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/crypto_types.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

#define COUNTER_SALT 14
#define GCM_SALT     12
#define GCM_TAG_MAX  16

struct cipher {
	srtp_cipher_t   head;                     /* what the library holds; first, so that both are freed as one */
	EVP_CIPHER_CTX *evp;
	int             key_len;                  /* bytes, without the salt */
	int             tag_len;                  /* GCM */
	uint8_t         offset[16];               /* counter mode: the salt, shifted (RFC 3711 4.1.1) */
};

static srtp_err_status_t make(srtp_cipher_pointer_t *out, const srtp_cipher_type_t *type, int key_len, int salt_len,
                              int tag_len)
{
	struct cipher *made = calloc(1, sizeof(*made));

	if (made == NULL)
		return srtp_err_status_alloc_fail;
	made->evp = EVP_CIPHER_CTX_new();
	if (made->evp == NULL) {
		free(made);
		return srtp_err_status_alloc_fail;
	}
	made->key_len = key_len - salt_len;
	made->tag_len = tag_len;
	made->head.type = type;
	made->head.state = made;
	made->head.key_len = key_len;
	made->head.algorithm = (int)type->id;
	*out = &made->head;
	return srtp_err_status_ok;
}

static srtp_err_status_t cipher_free(srtp_cipher_pointer_t head)
{
	struct cipher *cipher = head->state;

	EVP_CIPHER_CTX_free(cipher->evp); /* wipes the key */
	OPENSSL_cleanse(cipher, sizeof(*cipher));
	free(cipher);
	return srtp_err_status_ok;
}

/* --- counter mode */

static srtp_err_status_t counter_init(void *state, const uint8_t *key)
{
	struct cipher *cipher = state;

	memset(cipher->offset, 0, sizeof(cipher->offset));
	memcpy(cipher->offset, key + cipher->key_len, COUNTER_SALT);
	return EVP_EncryptInit_ex(cipher->evp, cipher->key_len == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr(), NULL, key,
	                          NULL) == 1
	               ? srtp_err_status_ok
	               : srtp_err_status_init_fail;
}

static srtp_err_status_t counter_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t direction)
{
	struct cipher *cipher = state;
	uint8_t        counter[16];

	(void)direction; /* the same both ways */
	for (size_t i = 0; i < sizeof(counter); i++)
		counter[i] = cipher->offset[i] ^ iv[i];
	return EVP_EncryptInit_ex(cipher->evp, NULL, NULL, NULL, counter) == 1 ? srtp_err_status_ok
	                                                                       : srtp_err_status_cipher_fail;
}

static srtp_err_status_t counter_crypt(void *state, uint8_t *data, unsigned int *len)
{
	struct cipher *cipher = state;
	int            done = 0;

	if (*len == 0)
		return srtp_err_status_ok;
	if (EVP_EncryptUpdate(cipher->evp, data, &done, data, (int)*len) != 1)
		return srtp_err_status_cipher_fail;
	*len = (unsigned int)done;
	return srtp_err_status_ok;
}

/* --- GCM (RFC 7714) */

static srtp_err_status_t gcm_init(void *state, const uint8_t *key)
{
	struct cipher *cipher = state;

	/* The nonce is 12 bytes long, which is what GCM assumes. */
	return EVP_CipherInit_ex(cipher->evp, cipher->key_len == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm(), NULL, key,
	                         NULL, 1) == 1
	               ? srtp_err_status_ok
	               : srtp_err_status_init_fail;
}

static srtp_err_status_t gcm_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t direction)
{
	struct cipher *cipher = state;

	return EVP_CipherInit_ex(cipher->evp, NULL, NULL, NULL, iv, direction == srtp_direction_encrypt ? 1 : 0) == 1
	               ? srtp_err_status_ok
	               : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_set_aad(void *state, const uint8_t *aad, uint32_t len)
{
	struct cipher *cipher = state;
	int            done = 0;

	return EVP_CipherUpdate(cipher->evp, NULL, &done, aad, (int)len) == 1 ? srtp_err_status_ok
	                                                                      : srtp_err_status_algo_fail;
}

static srtp_err_status_t gcm_encrypt(void *state, uint8_t *data, unsigned int *len)
{
	struct cipher *cipher = state;
	int            done = 0;

	if (*len == 0)
		return srtp_err_status_ok;
	return EVP_CipherUpdate(cipher->evp, data, &done, data, (int)*len) == 1 ? srtp_err_status_ok
	                                                                        : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_get_tag(void *state, uint8_t *tag, uint32_t *len)
{
	struct cipher *cipher = state;
	uint8_t        none[GCM_TAG_MAX];
	int            done = 0;

	if (EVP_CipherFinal_ex(cipher->evp, none, &done) != 1 ||
	    EVP_CIPHER_CTX_ctrl(cipher->evp, EVP_CTRL_AEAD_GET_TAG, cipher->tag_len, tag) != 1)
		return srtp_err_status_algo_fail;
	*len = (uint32_t)cipher->tag_len;
	return srtp_err_status_ok;
}

/* The tag is the last of `*len`, and is not among them afterwards. */
static srtp_err_status_t gcm_decrypt(void *state, uint8_t *data, unsigned int *len)
{
	struct cipher *cipher = state;
	int            text_len = (int)*len - cipher->tag_len;
	uint8_t        none[GCM_TAG_MAX];
	int            done = 0;

	if (text_len < 0)
		return srtp_err_status_auth_fail;
	if (EVP_CIPHER_CTX_ctrl(cipher->evp, EVP_CTRL_AEAD_SET_TAG, cipher->tag_len, data + text_len) != 1)
		return srtp_err_status_cipher_fail;
	if (text_len > 0 && EVP_CipherUpdate(cipher->evp, data, &done, data, text_len) != 1)
		return srtp_err_status_cipher_fail;
	if (EVP_CipherFinal_ex(cipher->evp, none, &done) != 1)
		return srtp_err_status_auth_fail;
	*len = (unsigned int)text_len;
	return srtp_err_status_ok;
}

/* --- HMAC-SHA1 (RFC 2104) */

struct hmac {
	srtp_auth_t head;
	SHA_CTX     inner, outer; /* as they are after the padded key */
	SHA_CTX     running;
};

static srtp_err_status_t hmac_alloc(srtp_auth_pointer_t *out, int key_len, int out_len);

static srtp_err_status_t hmac_free(srtp_auth_pointer_t head)
{
	struct hmac *hmac = head->state;

	OPENSSL_cleanse(hmac, sizeof(*hmac));
	free(hmac);
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_init(void *state, const uint8_t *key, int key_len)
{
	struct hmac *hmac = state;
	uint8_t      block[SHA_CBLOCK];

	if (key_len < 0 || key_len > SHA_DIGEST_LENGTH)
		return srtp_err_status_bad_param;
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = 0x36 ^ (i < (size_t)key_len ? key[i] : 0);
	SHA1_Init(&hmac->inner);
	SHA1_Update(&hmac->inner, block, sizeof(block));
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	SHA1_Init(&hmac->outer);
	SHA1_Update(&hmac->outer, block, sizeof(block));
	OPENSSL_cleanse(block, sizeof(block));
	hmac->running = hmac->inner;
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_start(void *state)
{
	struct hmac *hmac = state;

	hmac->running = hmac->inner;
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_update(void *state, const uint8_t *data, int len)
{
	struct hmac *hmac = state;

	SHA1_Update(&hmac->running, data, (size_t)len);
	return srtp_err_status_ok;
}

static srtp_err_status_t hmac_compute(void *state, const uint8_t *data, int len, int tag_len, uint8_t *tag)
{
	struct hmac *hmac = state;
	uint8_t      digest[SHA_DIGEST_LENGTH];

	if (tag_len < 0 || tag_len > SHA_DIGEST_LENGTH)
		return srtp_err_status_bad_param;
	SHA1_Update(&hmac->running, data, (size_t)len);
	SHA1_Final(digest, &hmac->running);
	hmac->running = hmac->outer;
	SHA1_Update(&hmac->running, digest, sizeof(digest));
	SHA1_Final(digest, &hmac->running);
	memcpy(tag, digest, (size_t)tag_len);
	return srtp_err_status_ok;
}

/* --- their known answers, which the library checks each against before it takes it */

static const uint8_t counter_128_key[] = { /* RFC 3711 B.2 */
	0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c,
	0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
};
static const uint8_t counter_128_stream[] = {
	0xe0, 0x3e, 0xad, 0x09, 0x35, 0xc9, 0x5e, 0x80, 0xe1, 0x66, 0xb1, 0x6d, 0xd9, 0x2b, 0x4e, 0xb4,
	0xd2, 0x35, 0x13, 0x16, 0x2b, 0x02, 0xd0, 0xf7, 0x2a, 0x43, 0xa2, 0xfe, 0x4a, 0x5f, 0x97, 0xab,
};
static const uint8_t counter_256_key[] = { /* RFC 6188 7.1 */
	0x57, 0xf8, 0x2f, 0xe3, 0x61, 0x3f, 0xd1, 0x70, 0xa8, 0x5e, 0xc9, 0x3c, 0x40, 0xb1, 0xf0, 0x92,
	0x2e, 0xc4, 0xcb, 0x0d, 0xc0, 0x25, 0xb5, 0x82, 0x72, 0x14, 0x7c, 0xc4, 0x38, 0x94, 0x4a, 0x98,
	0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
};
static const uint8_t counter_256_stream[] = {
	0x92, 0xbd, 0xd2, 0x8a, 0x93, 0xc3, 0xf5, 0x25, 0x11, 0xc6, 0x77, 0xd0, 0x8b, 0x55, 0x15, 0xa4,
	0x9d, 0xa7, 0x1b, 0x23, 0x78, 0xa8, 0x54, 0xf6, 0x70, 0x50, 0x75, 0x6d, 0xed, 0x16, 0x5b, 0xac,
};
static const uint8_t gcm_key[] = { /* RFC 7714 16: the first 16 or all 32; the salt is the caller's to apply */
	0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
	0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};
static const uint8_t gcm_aad[] = {0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2};
static const uint8_t gcm_text[] = {
	'G', 'a', 'l', 'l', 'i', 'a', ' ', 'e', 's', 't', ' ', 'o', 'm', 'n', 'i', 's', ' ', 'd', 'i',
	'v', 'i', 's', 'a', ' ', 'i', 'n', ' ', 'p', 'a', 'r', 't', 'e', 's', ' ', 't', 'r', 'e', 's',
};
static const uint8_t gcm_128_sealed[] = {
	0xf2, 0x4d, 0xe3, 0xa3, 0xfb, 0x34, 0xde, 0x6c, 0xac, 0xba, 0x86, 0x1c, 0x9d, 0x7e, 0x4b, 0xca, 0xbe, 0x63,
	0x3b, 0xd5, 0x0d, 0x29, 0x4e, 0x6f, 0x42, 0xa5, 0xf4, 0x7a, 0x51, 0xc7, 0xd1, 0x9b, 0x36, 0xde, 0x3a, 0xdf,
	0x88, 0x33, 0x89, 0x9d, 0x7f, 0x27, 0xbe, 0xb1, 0x6a, 0x91, 0x52, 0xcf, 0x76, 0x5e, 0xe4, 0x39, 0x0c, 0xce,
};
static const uint8_t gcm_256_sealed[] = {
	0x32, 0xb1, 0xde, 0x78, 0xa8, 0x22, 0xfe, 0x12, 0xef, 0x9f, 0x78, 0xfa, 0x33, 0x2e, 0x33, 0xaa, 0xb1, 0x80,
	0x12, 0x38, 0x9a, 0x58, 0xe2, 0xf3, 0xb5, 0x0b, 0x2a, 0x02, 0x76, 0xff, 0xae, 0x0f, 0x1b, 0xa6, 0x37, 0x99,
	0xb8, 0x7b, 0x7a, 0xa3, 0xdb, 0x36, 0xdf, 0xff, 0xd6, 0xb0, 0xf9, 0xbb, 0x78, 0x78, 0xd7, 0xa7, 0x6c, 0x13,
};
static uint8_t counter_iv[16]; /* not const because the library's structure says so; nobody writes to them */
static uint8_t gcm_iv[12] = {0x51, 0x75, 0x3c, 0x65, 0x80, 0xc2, 0x72, 0x6f, 0x20, 0x71, 0x84, 0x14};
static const uint8_t zeros[32];

static const srtp_cipher_test_case_t counter_128_case = {
	.key_length_octets = sizeof(counter_128_key),
	.key = counter_128_key,
	.idx = counter_iv,
	.plaintext_length_octets = sizeof(zeros),
	.plaintext = zeros,
	.ciphertext_length_octets = sizeof(counter_128_stream),
	.ciphertext = counter_128_stream,
};
static const srtp_cipher_test_case_t counter_256_case = {
	.key_length_octets = sizeof(counter_256_key),
	.key = counter_256_key,
	.idx = counter_iv,
	.plaintext_length_octets = sizeof(zeros),
	.plaintext = zeros,
	.ciphertext_length_octets = sizeof(counter_256_stream),
	.ciphertext = counter_256_stream,
};
static const srtp_cipher_test_case_t gcm_128_case = {
	.key_length_octets = 16 + GCM_SALT,
	.key = gcm_key,
	.idx = gcm_iv,
	.plaintext_length_octets = sizeof(gcm_text),
	.plaintext = gcm_text,
	.ciphertext_length_octets = sizeof(gcm_128_sealed),
	.ciphertext = gcm_128_sealed,
	.aad_length_octets = sizeof(gcm_aad),
	.aad = gcm_aad,
	.tag_length_octets = GCM_TAG_MAX,
};
static const srtp_cipher_test_case_t gcm_256_case = {
	.key_length_octets = 32 + GCM_SALT,
	.key = gcm_key,
	.idx = gcm_iv,
	.plaintext_length_octets = sizeof(gcm_text),
	.plaintext = gcm_text,
	.ciphertext_length_octets = sizeof(gcm_256_sealed),
	.ciphertext = gcm_256_sealed,
	.aad_length_octets = sizeof(gcm_aad),
	.aad = gcm_aad,
	.tag_length_octets = GCM_TAG_MAX,
};

static const uint8_t hmac_key[] = { /* RFC 2202, HMAC-SHA-1 test 1 */
	0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
	0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
};
static const uint8_t hmac_data[] = {'H', 'i', ' ', 'T', 'h', 'e', 'r', 'e'};
static const uint8_t hmac_tag[] = {
	0xb6, 0x17, 0x31, 0x86, 0x55, 0x05, 0x72, 0x64, 0xe2, 0x8b,
	0xc0, 0xb6, 0xfb, 0x37, 0x8c, 0x8e, 0xf1, 0x46, 0xbe, 0x00,
};
static const srtp_auth_test_case_t hmac_case = {
	.key_length_octets = sizeof(hmac_key),
	.key = hmac_key,
	.data_length_octets = sizeof(hmac_data),
	.data = hmac_data,
	.tag_length_octets = sizeof(hmac_tag),
	.tag = hmac_tag,
};

/* --- the tables that the library takes */

#define CIPHER(name, text, key_and_salt, salt, number, face, aad, tag)                                                 \
	static srtp_err_status_t name##_alloc(srtp_cipher_pointer_t *out, int key_len, int tag_len);                   \
	static const srtp_cipher_type_t name = {name##_alloc,  cipher_free, face##_init,  aad,         face##_encrypt, \
	                                        face##_decrypt, face##_set_iv, tag, text, &name##_case, number};       \
	static srtp_err_status_t name##_alloc(srtp_cipher_pointer_t *out, int key_len, int tag_len)                    \
	{                                                                                                              \
		if (key_len != (key_and_salt) || tag_len < 0 || tag_len > GCM_TAG_MAX)                                 \
			return srtp_err_status_bad_param;                                                              \
		return make(out, &name, key_len, salt, tag_len);                                                       \
	}

#define counter_encrypt counter_crypt
#define counter_decrypt counter_crypt

CIPHER(counter_128, "AES-128 counter mode, libcrypto", 16 + COUNTER_SALT, COUNTER_SALT, SRTP_AES_ICM_128, counter, NULL,
       NULL)
CIPHER(counter_256, "AES-256 counter mode, libcrypto", 32 + COUNTER_SALT, COUNTER_SALT, SRTP_AES_ICM_256, counter, NULL,
       NULL)
CIPHER(gcm_128, "AES-128 GCM, libcrypto", 16 + GCM_SALT, GCM_SALT, SRTP_AES_GCM_128, gcm, gcm_set_aad, gcm_get_tag)
CIPHER(gcm_256, "AES-256 GCM, libcrypto", 32 + GCM_SALT, GCM_SALT, SRTP_AES_GCM_256, gcm, gcm_set_aad, gcm_get_tag)

static const srtp_auth_type_t hmac_sha1 = {hmac_alloc,  hmac_free,  hmac_init,
                                           hmac_compute, hmac_update, hmac_start,
                                           "HMAC-SHA1, libcrypto", &hmac_case, SRTP_HMAC_SHA1};

static srtp_err_status_t hmac_alloc(srtp_auth_pointer_t *out, int key_len, int out_len)
{
	struct hmac *made;

	if (key_len < 0 || key_len > SHA_DIGEST_LENGTH || out_len < 0 || out_len > SHA_DIGEST_LENGTH)
		return srtp_err_status_bad_param;
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return srtp_err_status_alloc_fail;
	made->head.type = &hmac_sha1;
	made->head.state = made;
	made->head.key_len = key_len;
	made->head.out_len = out_len;
	*out = &made->head;
	return srtp_err_status_ok;
}

int oh_srtp_ciphers_install(void)
{
	const srtp_cipher_type_t *ciphers[] = {&counter_128, &counter_256, &gcm_128, &gcm_256};

	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
		if (srtp_replace_cipher_type(ciphers[i], ciphers[i]->id) != srtp_err_status_ok)
			return -ENOTSUP;
	}
	return srtp_replace_auth_type(&hmac_sha1, SRTP_HMAC_SHA1) == srtp_err_status_ok ? 0 : -ENOTSUP;
}
