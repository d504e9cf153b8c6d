/* Bytes in, bytes out, without Python: the UTF-8 check and the masking of _frames.c. */

#ifndef SHARDWS_FRAMES_BYTES_H
#define SHARDWS_FRAMES_BYTES_H

#include <Python.h>
#include <stdint.h>
#include <string.h>

#define HIGH_BITS UINT64_C(0x8080808080808080)

/* -- UTF-8 (RFC 3629, the table of section 4), byte by byte over any number of pieces ---------- */

typedef struct {
    uint8_t need; /* continuation bytes still to come */
    uint8_t low;  /* bounds of the next one */
    uint8_t high;
} Utf8;

/* The first byte of a character of two to four bytes; 0, or -1 when it cannot be one. */
static int
utf8_lead(Utf8 *state, uint8_t byte)
{
    state->low = 0x80;
    state->high = 0xBF;
    if (byte < 0xC2 || byte > 0xF4) {
        return -1;
    }
    if (byte < 0xE0) {
        state->need = 1;
        return 0;
    }
    if (byte < 0xF0) {
        state->need = 2;
        if (byte == 0xE0) {
            state->low = 0xA0; /* else overlong */
        }
        else if (byte == 0xED) {
            state->high = 0x9F; /* else a surrogate */
        }
        return 0;
    }
    state->need = 3;
    if (byte == 0xF0) {
        state->low = 0x90;
    }
    else if (byte == 0xF4) {
        state->high = 0x8F; /* else above U+10FFFF */
    }
    return 0;
}

/* 0, or -1 as soon as the text cannot become valid any more. */
static int
utf8_feed(Utf8 *state, const uint8_t *text, Py_ssize_t size)
{
    Py_ssize_t at = 0;
    while (at < size) {
        if (state->need) {
            if (text[at] < state->low || text[at] > state->high) {
                return -1;
            }
            state->low = 0x80;
            state->high = 0xBF;
            state->need--;
            at++;
            continue;
        }
        while (size - at >= 8) {
            uint64_t word;
            memcpy(&word, text + at, 8);
            if (word & HIGH_BITS) {
                break;
            }
            at += 8;
        }
        while (at < size && text[at] < 0x80) {
            at++;
        }
        if (at < size && utf8_lead(state, text[at++]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* -- masking (RFC 6455 5.3) --------------------------------------------------------------------- */

/* XOR `size` bytes with the key from its byte `phase` on; return all output bytes ORed together,
 * so that ASCII is known without a second pass. The loop is one the compiler vectorises; it counts
 * words, unsigned, because with -fwrapv (CPython's flags) a signed position goes into a vector
 * register too and costs a quarter more. */
static uint64_t
unmask_into(uint8_t *restrict out, const uint8_t *restrict in, Py_ssize_t size,
            const uint8_t *key, Py_ssize_t phase)
{
    uint8_t turned[4];
    uint32_t half;
    uint64_t seen = 0;
    size_t words = (size_t)size / 8;
    for (int i = 0; i < 4; i++) {
        turned[i] = key[(phase + i) & 3];
    }
    memcpy(&half, turned, 4);
    const uint64_t mask = (uint64_t)half << 32 | half;
    for (size_t i = 0; i < words; i++) {
        uint64_t word;
        memcpy(&word, in + i * 8, 8);
        word ^= mask;
        memcpy(out + i * 8, &word, 8);
        seen |= word;
    }
    size_t at = words * 8;
    if ((size_t)size - at >= 4) {
        uint32_t word;
        memcpy(&word, in + at, 4);
        word ^= half;
        memcpy(out + at, &word, 4);
        seen |= (uint64_t)word << 32 | word; /* HIGH_BITS are those of a whole word */
        at += 4;
    }
    for (; at < (size_t)size; at++) {
        out[at] = in[at] ^ turned[at & 3];
        seen |= out[at];
    }
    return seen;
}

#endif
