/* MD5 after RFC 1321, so that no library is needed. */
#ifndef BENCH_MD5_H
#define BENCH_MD5_H
#include <stdint.h>
#include <string.h>

typedef struct {
    uint32_t a, b, c, d;
    uint64_t length;
    uint8_t rest[64];
} md5_t;

static void md5_begin(md5_t *m) {
    m->a = 0x67452301, m->b = 0xefcdab89, m->c = 0x98badcfe, m->d = 0x10325476, m->length = 0;
}

#define ROTATED(x, n) (((x) << (n)) | ((x) >> (32 - (n))))
#define STEP(f, a, b, c, d, word, constant, turn) a += (f) + (word) + (uint32_t)(constant), a = ROTATED(a, turn) + b
#define F(a, b, c, d, i, t, s) STEP(d ^ (b & (c ^ d)), a, b, c, d, x[i], t, s)
#define G(a, b, c, d, i, t, s) STEP((b & d) | (c & ~d), a, b, c, d, x[i], t, s)
#define H(a, b, c, d, i, t, s) STEP(b ^ c ^ d, a, b, c, d, x[i], t, s)
#define I(a, b, c, d, i, t, s) STEP(c ^ (b | ~d), a, b, c, d, x[i], t, s)

static void md5_blocks(md5_t *m, const uint8_t *data, size_t blocks) {
    uint32_t x[16], a = m->a, b = m->b, c = m->c, d = m->d;
    for (; blocks--; data += 64) {
        uint32_t a0 = a, b0 = b, c0 = c, d0 = d;
        memcpy(x, data, 64); /* little-endian machines only, as all that this is run on */
        F(a, b, c, d, 0, 0xd76aa478, 7); F(d, a, b, c, 1, 0xe8c7b756, 12); F(c, d, a, b, 2, 0x242070db, 17); F(b, c, d, a, 3, 0xc1bdceee, 22);
        F(a, b, c, d, 4, 0xf57c0faf, 7); F(d, a, b, c, 5, 0x4787c62a, 12); F(c, d, a, b, 6, 0xa8304613, 17); F(b, c, d, a, 7, 0xfd469501, 22);
        F(a, b, c, d, 8, 0x698098d8, 7); F(d, a, b, c, 9, 0x8b44f7af, 12); F(c, d, a, b, 10, 0xffff5bb1, 17); F(b, c, d, a, 11, 0x895cd7be, 22);
        F(a, b, c, d, 12, 0x6b901122, 7); F(d, a, b, c, 13, 0xfd987193, 12); F(c, d, a, b, 14, 0xa679438e, 17); F(b, c, d, a, 15, 0x49b40821, 22);
        G(a, b, c, d, 1, 0xf61e2562, 5); G(d, a, b, c, 6, 0xc040b340, 9); G(c, d, a, b, 11, 0x265e5a51, 14); G(b, c, d, a, 0, 0xe9b6c7aa, 20);
        G(a, b, c, d, 5, 0xd62f105d, 5); G(d, a, b, c, 10, 0x02441453, 9); G(c, d, a, b, 15, 0xd8a1e681, 14); G(b, c, d, a, 4, 0xe7d3fbc8, 20);
        G(a, b, c, d, 9, 0x21e1cde6, 5); G(d, a, b, c, 14, 0xc33707d6, 9); G(c, d, a, b, 3, 0xf4d50d87, 14); G(b, c, d, a, 8, 0x455a14ed, 20);
        G(a, b, c, d, 13, 0xa9e3e905, 5); G(d, a, b, c, 2, 0xfcefa3f8, 9); G(c, d, a, b, 7, 0x676f02d9, 14); G(b, c, d, a, 12, 0x8d2a4c8a, 20);
        H(a, b, c, d, 5, 0xfffa3942, 4); H(d, a, b, c, 8, 0x8771f681, 11); H(c, d, a, b, 11, 0x6d9d6122, 16); H(b, c, d, a, 14, 0xfde5380c, 23);
        H(a, b, c, d, 1, 0xa4beea44, 4); H(d, a, b, c, 4, 0x4bdecfa9, 11); H(c, d, a, b, 7, 0xf6bb4b60, 16); H(b, c, d, a, 10, 0xbebfbc70, 23);
        H(a, b, c, d, 13, 0x289b7ec6, 4); H(d, a, b, c, 0, 0xeaa127fa, 11); H(c, d, a, b, 3, 0xd4ef3085, 16); H(b, c, d, a, 6, 0x04881d05, 23);
        H(a, b, c, d, 9, 0xd9d4d039, 4); H(d, a, b, c, 12, 0xe6db99e5, 11); H(c, d, a, b, 15, 0x1fa27cf8, 16); H(b, c, d, a, 2, 0xc4ac5665, 23);
        I(a, b, c, d, 0, 0xf4292244, 6); I(d, a, b, c, 7, 0x432aff97, 10); I(c, d, a, b, 14, 0xab9423a7, 15); I(b, c, d, a, 5, 0xfc93a039, 21);
        I(a, b, c, d, 12, 0x655b59c3, 6); I(d, a, b, c, 3, 0x8f0ccc92, 10); I(c, d, a, b, 10, 0xffeff47d, 15); I(b, c, d, a, 1, 0x85845dd1, 21);
        I(a, b, c, d, 8, 0x6fa87e4f, 6); I(d, a, b, c, 15, 0xfe2ce6e0, 10); I(c, d, a, b, 6, 0xa3014314, 15); I(b, c, d, a, 13, 0x4e0811a1, 21);
        I(a, b, c, d, 4, 0xf7537e82, 6); I(d, a, b, c, 11, 0xbd3af235, 10); I(c, d, a, b, 2, 0x2ad7d2bb, 15); I(b, c, d, a, 9, 0xeb86d391, 21);
        a += a0, b += b0, c += c0, d += d0;
    }
    m->a = a, m->b = b, m->c = c, m->d = d;
}

#undef F
#undef G
#undef H
#undef I

static void md5_add(md5_t *m, const void *data, size_t size) {
    const uint8_t *from = data;
    size_t used = m->length & 63;
    m->length += size;
    if (used) {
        size_t room = 64 - used, take = size < room ? size : room;
        memcpy(m->rest + used, from, take);
        from += take, size -= take;
        if (used + take < 64) return;
        md5_blocks(m, m->rest, 1);
    }
    md5_blocks(m, from, size / 64);
    memcpy(m->rest, from + (size & ~(size_t)63), size & 63);
}

static void md5_end(md5_t *m, uint8_t digest[16]) {
    uint64_t bits = m->length * 8;
    static const uint8_t padding[64] = {0x80};
    size_t used = m->length & 63;
    md5_add(m, padding, used < 56 ? 56 - used : 120 - used);
    md5_add(m, &bits, 8);
    memcpy(digest, &m->a, 4), memcpy(digest + 4, &m->b, 4), memcpy(digest + 8, &m->c, 4), memcpy(digest + 12, &m->d, 4);
}
#endif
