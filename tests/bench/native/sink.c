/* An S3 server that keeps nothing but names, sizes and digests, and so measures its clients.

   sink [--verify] [--tls CERTIFICATE KEY] [--parts BYTES] [--serve FLAT TREE FOLDER]...
   --serve answers FOLDER/org/abc/abc… from disk, as org/abc… in the bucket FLAT and as org/abc/abc… in the bucket TREE. What is uploaded
   cannot be read back, nor can a copy by x-amz-copy-source, which is answered with the digest of its source.
   After --parts, what is served and larger has the ETag of an upload in parts of that size.
   An ETag is the body's MD5: computed where the body has at most 4 KiB, or with --verify; else Content-MD5 is taken at its word, and without
   one the ETag is opaque. So no client pays for a hash that another saves the server. GET /?bench-stats answers the counts. Ends with its parent. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "md5.h"
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum { SCRATCH = 256 << 10, HEAD_AT_MOST = 32 << 10, HASHED = 4096, LEVELS = 18, PATH_AT_MOST = 4096 };
enum { OPAQUE = -1, PLAIN = 0 }; /* an ETag's number of parts, else */

/* --- what is remembered: a skip list for each bucket, so that listings need no sorting --------------------------- */

typedef struct object {
    uint64_t size;
    time_t modified;
    int parts;
    uint8_t md5[16], on_disk;
    char *key;
    struct object *next[];
} object_t;

typedef struct bucket {
    char name[64], *folder;
    int is_flat;
    object_t *head;
    struct bucket *next;
} bucket_t;

typedef struct part {
    int number, parts;
    uint64_t size;
    uint8_t md5[16];
    struct part *next;
} part_t;

typedef struct upload {
    char id[33], *key;
    bucket_t *bucket;
    part_t *part;
    struct upload *next;
} upload_t;

static bucket_t *buckets;
static upload_t *uploads;
static time_t started;
static int verifies;
static off_t part_size;
static struct { uint64_t requests, put, get, head, post, delete, list, in, out, connections; } count;

static object_t *new_object(const char *key, int levels) {
    object_t *o = calloc(1, sizeof *o + levels * sizeof o->next[0] + strlen(key) + 1);
    o->key = (char *)&o->next[levels];
    strcpy(o->key, key);
    return o;
}

static bucket_t *find_bucket(const char *name) {
    for (bucket_t *b = buckets; b; b = b->next)
        if (!strcmp(b->name, name)) return b;
    return NULL;
}

static bucket_t *add_bucket(const char *name) {
    bucket_t *b = calloc(1, sizeof *b);
    snprintf(b->name, sizeof b->name, "%s", name);
    b->head = new_object("", LEVELS);
    b->next = buckets;
    return buckets = b;
}

/* The first object whose key is not smaller; `before` gets what precedes it on each level. */
static object_t *seek(bucket_t *b, const char *key, object_t **before) {
    object_t *o = b->head;
    for (int level = LEVELS; level--;) {
        while (o->next[level] && strcmp(o->next[level]->key, key) < 0) o = o->next[level];
        if (before) before[level] = o;
    }
    return o->next[0];
}

static object_t *find(bucket_t *b, const char *key) {
    object_t *o = seek(b, key, NULL);
    return o && !strcmp(o->key, key) ? o : NULL;
}

static object_t *find_or_add(bucket_t *b, const char *key) {
    object_t *before[LEVELS], *o = seek(b, key, before);
    if (o && !strcmp(o->key, key)) return o;
    int levels = 1;
    for (uint32_t bits = random(); levels < LEVELS && (bits & 3) == 0; bits >>= 2) levels++;
    o = new_object(key, levels);
    for (int level = 0; level < levels; level++) o->next[level] = before[level]->next[level], before[level]->next[level] = o;
    return o;
}

static void forget(bucket_t *b, const char *key) {
    object_t *before[LEVELS], *o = seek(b, key, before);
    if (!o || strcmp(o->key, key)) return;
    for (int level = 0; level < LEVELS; level++)
        if (before[level]->next[level] == o) before[level]->next[level] = o->next[level];
    free(o);
}

static char *hex(const uint8_t md5[16], char text[33]) {
    for (int i = 0; i < 16; i++) sprintf(text + 2 * i, "%02x", md5[i]);
    return text;
}

static char *etag_of(int parts, const uint8_t md5[16], char text[64]) {
    hex(md5, text);
    if (parts) sprintf(text + 32, "-%d", parts == OPAQUE ? 0 : parts);
    return text;
}

static void path_of(bucket_t *b, const char *key, char path[PATH_AT_MOST]) {
    const char *slash = strrchr(key, '/');
    if (b->is_flat && slash) snprintf(path, PATH_AT_MOST, "%s/%.*s/%.3s/%s", b->folder, (int)(slash - key), key, slash + 1, slash + 1);
    else snprintf(path, PATH_AT_MOST, "%s/%s", b->folder, key);
}

/* Returns the number of parts, PLAIN for one that is not larger than a part. */
static int hash_file(const char *path, off_t size, uint8_t digest[16]) {
    static char data[1 << 20];
    int fd = open(path, O_RDONLY | O_CLOEXEC), parts = 0;
    off_t part = part_size && size > part_size ? part_size : size, at = 0;
    md5_t all;
    md5_begin(&all);
    do {
        md5_t m;
        md5_begin(&m);
        ssize_t n = 1;
        for (off_t end = at + part < size ? at + part : size; fd >= 0 && at < end && n > 0; at += n > 0 ? n : 0) {
            n = pread(fd, data, end - at < (off_t)sizeof data ? end - at : (off_t)sizeof data, at);
            if (n > 0) md5_add(&m, data, n);
        }
        md5_end(&m, digest);
        if (n <= 0) break;
        md5_add(&all, digest, 16), parts++;
    } while (at < size);
    close(fd);
    if (part == size) return PLAIN;
    md5_end(&all, digest);
    return parts;
}

static void remember_folder(bucket_t *flat, bucket_t *tree, const char *root, const char *below) {
    char path[PATH_AT_MOST], key[PATH_AT_MOST];
    snprintf(path, sizeof path, "%s/%s", root, below);
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        if (e->d_name[0] == '.') continue;
        snprintf(key, sizeof key, "%s%s%s", below, *below ? "/" : "", e->d_name);
        if (e->d_type == DT_DIR) {
            remember_folder(flat, tree, root, key);
            continue;
        }
        uint8_t md5[16];
        struct stat found;
        snprintf(path, sizeof path, "%s/%s", root, key);
        if (stat(path, &found)) continue;
        int in_parts = hash_file(path, found.st_size, md5);
        const char *slash = strchr(key, '/');
        char name[PATH_AT_MOST];
        snprintf(name, sizeof name, "%.*s/%s", slash ? (int)(slash - key) : 0, key, e->d_name);
        for (int i = 0; i < 2; i++) {
            object_t *o = i ? find_or_add(tree, key) : find_or_add(flat, name);
            o->size = found.st_size, o->modified = started - 86400, o->on_disk = 1, o->parts = in_parts;
            memcpy(o->md5, md5, 16);
        }
    }
    if (folder) closedir(folder);
}

/* --- connections --------------------------------------------------------------------------------------------------- */

typedef struct {
    char *data;
    size_t size, room;
} text_t;

typedef struct {
    int fd, is_tls_ready, wants_write, closes, in_body;
    void *tls;
    text_t head, out;
    size_t out_sent;
    int file;
    off_t file_at;
    size_t file_left;
    /* the request under way */
    char method[8], path[PATH_AT_MOST], query[PATH_AT_MOST], range[64], if_match[64], key[PATH_AT_MOST], copied[PATH_AT_MOST], copied_if[64];
    bucket_t *bucket;
    uint64_t body_left, body_size;
    int has_md5, if_none_match, is_hashed;
    uint8_t said_md5[16];
    md5_t md5;
} conn_t;

static int epoll_fd;
static char scratch[SCRATCH];

static void append(text_t *t, const char *data, size_t size) {
    if (t->size + size + 1 > t->room) t->room = (t->size + size + 1) * 2, t->data = realloc(t->data, t->room);
    memcpy(t->data + t->size, data, size);
    t->data[t->size += size] = 0;
}

static void say(text_t *t, const char *format, ...) {
    char line[PATH_AT_MOST + 1024];
    va_list more;
    va_start(more, format);
    int n = vsnprintf(line, sizeof line, format, more);
    va_end(more);
    append(t, line, n);
}

static const char *reason(int status) {
    return status < 300 ? "OK" : status < 500 ? "Refused" : "Error";
}

/* The head of an answer; `extra` are whole lines. */
static void answer_head(conn_t *c, int status, uint64_t length, const char *extra) {
    static time_t second;
    static char date[64];
    time_t now = time(NULL);
    if (now != second) {
        struct tm parts;
        second = now;
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    }
    char line[1024];
    int n = snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: sink\r\n%s", status, reason(status), date, extra);
    if (status != 204) n += snprintf(line + n, sizeof line - n, "Content-Length: %llu\r\n", (unsigned long long)length);
    n += snprintf(line + n, sizeof line - n, "%s\r\n", c->closes ? "Connection: close\r\n" : "");
    append(&c->out, line, n);
}

static void answer(conn_t *c, int status, const char *extra) {
    answer_head(c, status, 0, extra);
}

static void answer_xml(conn_t *c, int status, const char *body, size_t size) {
    answer_head(c, status, size, "Content-Type: application/xml\r\n");
    append(&c->out, body, size);
}

static void refuse(conn_t *c, int status, const char *code) {
    char body[512];
    if (!strcmp(c->method, "HEAD")) {
        answer(c, status, "");
        return;
    }
    int n = snprintf(body, sizeof body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>%s</Code><Message>%s</Message></Error>", code, code);
    answer_xml(c, status, body, n);
}

static void stamp(time_t moment, char text[40]) {
    static time_t known = -1;
    static char last[40];
    if (moment != known) {
        struct tm parts;
        strftime(last, sizeof last, "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&moment, &parts));
        known = moment;
    }
    strcpy(text, last);
}

static void decode(char *text, int plus) {
    char *to = text;
    for (char *from = text; *from; from++) {
        unsigned value;
        if (*from == '%' && sscanf(from + 1, "%2x", &value) == 1) *to++ = value, from += 2;
        else *to++ = plus && *from == '+' ? ' ' : *from;
    }
    *to = 0;
}

/* A parameter of the query, decoded; NULL where it is missing. */
static char *parameter(const char *query, const char *name, char value[PATH_AT_MOST]) {
    size_t length = strlen(name);
    for (const char *at = query; at && *at; at = strchr(at, '&'), at += at != NULL) {
        if (strncmp(at, name, length) || (at[length] != '=' && at[length] != '&' && at[length])) continue;
        const char *from = at + length + (at[length] == '=');
        snprintf(value, PATH_AT_MOST, "%.*s", (int)strcspn(from, "&"), from);
        decode(value, 1);
        return value;
    }
    *value = 0;
    return NULL;
}

static void append_key(text_t *t, const char *key, int as_url) {
    for (const char *s = key; *s; s++) {
        unsigned char letter = *s;
        if (isalnum(letter) || strchr("-_.~/", letter)) append(t, s, 1);
        else if (as_url) say(t, "%%%02X", letter);
        else if (strchr("&<>\"'", letter) || letter < 32) say(t, "&#%d;", letter);
        else append(t, s, 1);
    }
}

static void list_objects(conn_t *c) {
    char prefix[PATH_AT_MOST], after[PATH_AT_MOST], value[PATH_AT_MOST], token[PATH_AT_MOST], delimiter[PATH_AT_MOST], text[64], date[40];
    int second = parameter(c->query, "list-type", value) != NULL;
    int as_url = parameter(c->query, "encoding-type", value) != NULL;
    long most = parameter(c->query, "max-keys", value) ? atol(value) : 1000, found = 0;
    if (most > 1000 || most < 0) most = 1000;
    parameter(c->query, "prefix", prefix);
    parameter(c->query, "delimiter", delimiter);
    parameter(c->query, second ? "start-after" : "marker", after);
    if (parameter(c->query, "continuation-token", token)) strcpy(after, token);
    size_t length = strlen(prefix);
    static text_t rows;
    rows.size = 0;
    char from[PATH_AT_MOST + 2], last[PATH_AT_MOST] = "";
    snprintf(from, sizeof from, "%s", strcmp(after, prefix) > 0 ? after : prefix);
    object_t *o = seek(c->bucket, from, NULL);
    if (o && *after && !strcmp(o->key, after)) o = o->next[0];
    while (o && !strncmp(o->key, prefix, length) && found < most) {
        char *cut = *delimiter ? strstr(o->key + length, delimiter) : NULL;
        if (cut) { /* all keys with this beginning are one row */
            char group[PATH_AT_MOST];
            snprintf(group, sizeof group, "%.*s", (int)(cut - o->key + strlen(delimiter)), o->key);
            append(&rows, "<CommonPrefixes><Prefix>", 24), append_key(&rows, group, as_url);
            say(&rows, "</Prefix></CommonPrefixes>");
            snprintf(last, sizeof last, "%s\xff", group);
            o = seek(c->bucket, last, NULL);
        } else {
            stamp(o->modified, date);
            append(&rows, "<Contents><Key>", 15), append_key(&rows, o->key, as_url);
            say(&rows, "</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%llu</Size><StorageClass>STANDARD</StorageClass></Contents>",
                date, etag_of(o->parts, o->md5, text), (unsigned long long)o->size);
            strcpy(last, o->key);
            o = o->next[0];
        }
        found++;
    }
    int more = o && !strncmp(o->key, prefix, length) && most > 0;
    static text_t body;
    body.size = 0;
    say(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name><Prefix>", c->bucket->name);
    append_key(&body, prefix, as_url);
    say(&body, "</Prefix><MaxKeys>%ld</MaxKeys><IsTruncated>%s</IsTruncated>%s", most, more ? "true" : "false", as_url ? "<EncodingType>url</EncodingType>" : "");
    if (second) say(&body, "<KeyCount>%ld</KeyCount>", found);
    else append(&body, "<Marker>", 8), append_key(&body, after, as_url), append(&body, "</Marker>", 9);
    if (more) {
        const char *name = second ? "NextContinuationToken" : "NextMarker";
        say(&body, "<%s>", name), append_key(&body, last, as_url && !second), say(&body, "</%s>", name);
    }
    append(&body, rows.data ? rows.data : "", rows.size);
    append(&body, "</ListBucketResult>", 19);
    count.list++;
    answer_xml(c, 200, body.data, body.size);
}

static void list_buckets(conn_t *c) {
    static text_t body;
    body.size = 0;
    say(&body, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListAllMyBucketsResult><Owner><ID>sink</ID></Owner><Buckets>");
    for (bucket_t *b = buckets; b; b = b->next)
        say(&body, "<Bucket><Name>%s</Name><CreationDate>2020-01-01T00:00:00.000Z</CreationDate></Bucket>", b->name);
    say(&body, "</Buckets></ListAllMyBucketsResult>");
    answer_xml(c, 200, body.data, body.size);
}

static void stats(conn_t *c) {
    char body[1024];
    int n = snprintf(body, sizeof body, "requests %llu\nput %llu\nget %llu\nhead %llu\npost %llu\ndelete %llu\nlist %llu\nin %llu\nout %llu\nconnections %llu\n",
                     (unsigned long long)count.requests, (unsigned long long)count.put, (unsigned long long)count.get, (unsigned long long)count.head,
                     (unsigned long long)count.post, (unsigned long long)count.delete, (unsigned long long)count.list, (unsigned long long)count.in,
                     (unsigned long long)count.out, (unsigned long long)count.connections);
    answer_xml(c, 200, body, n);
}

/* --- objects ------------------------------------------------------------------------------------------------------- */

static int matches(const char *condition, object_t *o) {
    char text[64];
    return o && (!strcmp(condition, "*") || strstr(condition, etag_of(o->parts, o->md5, text)));
}

static void get_object(conn_t *c, int with_body) {
    object_t *o = find(c->bucket, c->key);
    char extra[512], text[64], path[PATH_AT_MOST], date[64];
    struct tm parts;
    if (!o) {
        refuse(c, 404, "NoSuchKey");
        return;
    }
    if (*c->if_match && !matches(c->if_match, o)) {
        refuse(c, 412, "PreconditionFailed");
        return;
    }
    uint64_t from = 0, to = o->size ? o->size - 1 : 0, length = o->size;
    int status = 200;
    if (*c->range && o->size) {
        unsigned long long a, b = to;
        if (sscanf(c->range, "bytes=%llu-%llu", &a, &b) < 1 || a > to) {
            refuse(c, 416, "InvalidRange");
            return;
        }
        from = a, to = b < to ? b : to, length = to - from + 1, status = 206;
    }
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&o->modified, &parts));
    int n = snprintf(extra, sizeof extra, "ETag: \"%s\"\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n",
                     etag_of(o->parts, o->md5, text), date);
    if (status == 206)
        snprintf(extra + n, sizeof extra - n, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)from, (unsigned long long)to, (unsigned long long)o->size);
    if (!with_body) {
        answer_head(c, status, length, extra);
        return;
    }
    path_of(c->bucket, c->key, path);
    int fd = o->on_disk ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        refuse(c, 501, "NotImplemented");
        return;
    }
    answer_head(c, status, length, extra);
    if (length < 8192 || c->tls) { /* one send is cheaper than a send and a sendfile */
        if (c->out.size + length + 1 > c->out.room) c->out.room = c->out.size + length + 1, c->out.data = realloc(c->out.data, c->out.room);
        if (pread(fd, c->out.data + c->out.size, length, from) != (ssize_t)length) c->closes = 1;
        c->out.size += length;
        close(fd);
        return;
    }
    c->file = fd, c->file_at = from, c->file_left = length;
}

static upload_t *find_upload(const char *id) {
    for (upload_t *u = uploads; u; u = u->next)
        if (!strcmp(u->id, id)) return u;
    return NULL;
}

static void end_upload(upload_t *gone) {
    for (upload_t **at = &uploads; *at; at = &(*at)->next)
        if (*at == gone) {
            *at = gone->next;
            break;
        }
    for (part_t *p; (p = gone->part);) gone->part = p->next, free(p);
    free(gone->key), free(gone);
}

static void put_part(conn_t *c, upload_t *u, int number, int parts, const uint8_t md5[16]) {
    char extra[128], text[64];
    part_t **at = &u->part;
    while (*at && (*at)->number < number) at = &(*at)->next;
    if (!*at || (*at)->number != number) {
        part_t *p = calloc(1, sizeof *p);
        p->number = number, p->next = *at, *at = p;
    }
    (*at)->size = c->body_size, (*at)->parts = parts;
    memcpy((*at)->md5, md5, 16);
    snprintf(extra, sizeof extra, "ETag: \"%s\"\r\n", etag_of(parts, md5, text));
    answer(c, 200, extra);
}

static void put_object(conn_t *c) {
    char value[PATH_AT_MOST], extra[128], text[64];
    uint8_t md5[16];
    int parts = PLAIN;
    if (c->is_hashed) {
        md5_end(&c->md5, md5);
        if (c->has_md5 && memcmp(md5, c->said_md5, 16)) {
            refuse(c, 400, "BadDigest");
            return;
        }
    } else if (c->has_md5) {
        memcpy(md5, c->said_md5, 16);
    } else {
        md5_end(&c->md5, md5); /* of nothing: only the form matters */
        parts = OPAQUE;
    }
    if (parameter(c->query, "uploadId", value)) {
        upload_t *u = find_upload(value);
        char number[PATH_AT_MOST];
        parameter(c->query, "partNumber", number);
        if (u) put_part(c, u, atoi(number), parts, md5);
        else refuse(c, 404, "NoSuchUpload");
        return;
    }
    if (c->if_none_match || *c->if_match) {
        object_t *there = find(c->bucket, c->key);
        if ((c->if_none_match && there) || (*c->if_match && !matches(c->if_match, there))) {
            refuse(c, 412, "PreconditionFailed");
            return;
        }
    }
    object_t *o = find_or_add(c->bucket, c->key);
    o->size = c->body_size, o->modified = time(NULL), o->parts = parts, o->on_disk = 0;
    memcpy(o->md5, md5, 16);
    snprintf(extra, sizeof extra, "ETag: \"%s\"\r\n", etag_of(parts, md5, text));
    answer(c, 200, extra);
}

static void copy_object(conn_t *c) {
    char body[512], date[64], text[64], *name = c->copied + (c->copied[0] == '/'), *slash;
    decode(c->copied, 0);
    slash = strchr(name, '/');
    if (slash) *slash = 0;
    bucket_t *from = find_bucket(name);
    object_t *o = from && slash ? find(from, slash + 1) : NULL;
    if (!o) {
        refuse(c, 404, "NoSuchKey");
        return;
    }
    if ((c->if_none_match && find(c->bucket, c->key)) || (*c->copied_if && !matches(c->copied_if, o))) {
        refuse(c, 412, "PreconditionFailed");
        return;
    }
    object_t *made = find_or_add(c->bucket, c->key);
    made->size = o->size, made->modified = time(NULL), made->parts = o->parts, made->on_disk = 0;
    memcpy(made->md5, o->md5, 16);
    stamp(made->modified, date);
    int n = snprintf(body, sizeof body, "<CopyObjectResult><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag></CopyObjectResult>",
                     date, etag_of(made->parts, made->md5, text));
    answer_xml(c, 200, body, n);
}

static void begin_upload(conn_t *c) {
    char body[PATH_AT_MOST + 512];
    upload_t *u = calloc(1, sizeof *u);
    for (int i = 0; i < 4; i++) sprintf(u->id + 8 * i, "%08lx", random() & 0xffffffff);
    u->key = strdup(c->key), u->bucket = c->bucket, u->next = uploads, uploads = u;
    int n = snprintf(body, sizeof body, "<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>",
                     c->bucket->name, c->key, u->id);
    answer_xml(c, 200, body, n);
}

static void complete_upload(conn_t *c, const char *id) {
    upload_t *u = find_upload(id);
    if (!u) {
        refuse(c, 404, "NoSuchUpload");
        return;
    }
    if (c->if_none_match && find(c->bucket, c->key)) {
        refuse(c, 412, "PreconditionFailed");
        return;
    }
    md5_t m;
    md5_begin(&m);
    object_t *o = find_or_add(c->bucket, c->key);
    o->size = 0, o->parts = 0, o->on_disk = 0, o->modified = time(NULL);
    for (part_t *p = u->part; p; p = p->next) md5_add(&m, p->md5, 16), o->size += p->size, o->parts++;
    md5_end(&m, o->md5);
    end_upload(u);
    char body[PATH_AT_MOST + 512], text[64];
    int n = snprintf(body, sizeof body, "<CompleteMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><ETag>&quot;%s&quot;</ETag></CompleteMultipartUploadResult>",
                     c->bucket->name, c->key, etag_of(o->parts, o->md5, text));
    answer_xml(c, 200, body, n);
}

static void list_parts(conn_t *c, const char *id) {
    upload_t *u = find_upload(id);
    if (!u) {
        refuse(c, 404, "NoSuchUpload");
        return;
    }
    static text_t body;
    char text[64];
    body.size = 0;
    say(&body, "<ListPartsResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId><IsTruncated>false</IsTruncated>", c->bucket->name, c->key, u->id);
    for (part_t *p = u->part; p; p = p->next)
        say(&body, "<Part><PartNumber>%d</PartNumber><LastModified>2020-01-01T00:00:00.000Z</LastModified><ETag>&quot;%s&quot;</ETag><Size>%llu</Size></Part>",
            p->number, etag_of(p->parts, p->md5, text), (unsigned long long)p->size);
    say(&body, "</ListPartsResult>");
    answer_xml(c, 200, body.data, body.size);
}

static void list_uploads(conn_t *c) {
    static text_t body;
    char prefix[PATH_AT_MOST];
    parameter(c->query, "prefix", prefix);
    body.size = 0;
    say(&body, "<ListMultipartUploadsResult><Bucket>%s</Bucket><IsTruncated>false</IsTruncated>", c->bucket->name);
    for (upload_t *u = uploads; u; u = u->next)
        if (u->bucket == c->bucket && !strncmp(u->key, prefix, strlen(prefix)))
            say(&body, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>2020-01-01T00:00:00.000Z</Initiated></Upload>", u->key, u->id);
    say(&body, "</ListMultipartUploadsResult>");
    answer_xml(c, 200, body.data, body.size);
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

static void on_bucket(conn_t *c, const char *name) {
    char value[PATH_AT_MOST];
    const char *m = c->method;
    if (!strcmp(m, "PUT")) {
        if (c->bucket) {
            refuse(c, 409, "BucketAlreadyOwnedByYou");
            return;
        }
        add_bucket(name);
        answer(c, 200, "");
    } else if (!c->bucket) refuse(c, 404, strcmp(m, "HEAD") ? "NoSuchBucket" : "");
    else if (!strcmp(m, "HEAD")) answer(c, 200, "");
    else if (strcmp(m, "GET")) refuse(c, 501, "NotImplemented");
    else if (parameter(c->query, "uploads", value)) list_uploads(c);
    else if (parameter(c->query, "location", value)) answer_xml(c, 200, "<LocationConstraint/>", 21);
    else if (parameter(c->query, "versioning", value)) answer_xml(c, 200, "<VersioningConfiguration/>", 26);
    else list_objects(c);
}

static void on_object(conn_t *c) {
    char value[PATH_AT_MOST];
    const char *m = c->method;
    if (!c->bucket) refuse(c, 404, "NoSuchBucket");
    else if (!strcmp(m, "PUT") && *c->copied) copy_object(c);
    else if (!strcmp(m, "PUT")) put_object(c);
    else if (!strcmp(m, "GET") && parameter(c->query, "uploadId", value)) list_parts(c, value);
    else if (!strcmp(m, "GET")) get_object(c, 1);
    else if (!strcmp(m, "HEAD")) get_object(c, 0);
    else if (!strcmp(m, "POST") && parameter(c->query, "uploads", value)) begin_upload(c);
    else if (!strcmp(m, "POST") && parameter(c->query, "uploadId", value)) complete_upload(c, value);
    else if (!strcmp(m, "DELETE")) {
        upload_t *u = parameter(c->query, "uploadId", value) ? find_upload(value) : NULL;
        if (u) end_upload(u);
        else if (!*value) forget(c->bucket, c->key);
        answer(c, 204, "");
    } else refuse(c, 501, "NotImplemented");
}

static void act(conn_t *c) { /* the body has come whole */
    char name[PATH_AT_MOST], *slash;
    count.requests++;
    *(c->method[0] == 'P' ? (c->method[1] == 'U' ? &count.put : &count.post)
      : c->method[0] == 'G' ? &count.get : c->method[0] == 'H' ? &count.head : &count.delete) += 1;
    snprintf(name, sizeof name, "%s", c->path + 1);
    slash = strchr(name, '/');
    if (slash) *slash = 0;
    if (!*name) {
        if (strstr(c->query, "bench-stats")) count.requests--, count.get--, stats(c);
        else list_buckets(c);
        return;
    }
    c->bucket = find_bucket(name);
    if (!slash || !slash[1]) on_bucket(c, name);
    else strcpy(c->key, slash + 1), on_object(c);
}

static int base64(const char *text, uint8_t digest[16]) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bits = 0;
    int have = 0, size = 0;
    for (const char *at; *text && *text != '=' && (at = strchr(letters, *text)); text++) {
        bits = bits << 6 | (at - letters), have += 6;
        if (have >= 8) {
            if (size == 16) return 0;
            digest[size++] = bits >> (have -= 8);
        }
    }
    return size == 16;
}

/* The head is complete; `head` ends with a zero byte. */
static int begin_request(conn_t *c, char *head) {
    char target[PATH_AT_MOST] = "", *line = strstr(head, "\r\n"), *mark;
    c->query[0] = c->range[0] = c->if_match[0] = c->copied[0] = c->copied_if[0] = c->method[0] = 0;
    c->has_md5 = c->if_none_match = 0, c->body_left = 0;
    if (sscanf(head, "%7s %4095s", c->method, target) != 2 || target[0] != '/') return 0;
    if ((mark = strchr(target, '?'))) *mark = 0, strcpy(c->query, mark + 1);
    strcpy(c->path, target);
    decode(c->path, 0);
    int expects = 0, chunked = 0;
    int64_t decoded = -1;
    while (line && line[2] && line[2] != '\r') {
        char *name = line + 2, *next = strstr(name, "\r\n"), *value = strchr(name, ':');
        if (next) *next = 0;
        if (value) {
            *value++ = 0;
            while (*value == ' ') value++;
            switch (tolower(name[0])) {
            case 'c':
                if (!strcasecmp(name, "content-length")) c->body_left = strtoull(value, NULL, 10);
                else if (!strcasecmp(name, "content-md5")) c->has_md5 = base64(value, c->said_md5);
                else if (!strcasecmp(name, "connection")) c->closes = !strcasecmp(value, "close");
                break;
            case 'e': expects |= !strcasecmp(name, "expect"); break;
            case 'i':
                if (!strcasecmp(name, "if-none-match")) c->if_none_match = 1;
                else if (!strcasecmp(name, "if-match")) snprintf(c->if_match, sizeof c->if_match, "%s", value);
                break;
            case 'r':
                if (!strcasecmp(name, "range")) snprintf(c->range, sizeof c->range, "%s", value);
                break;
            case 't': chunked |= !strcasecmp(name, "transfer-encoding"); break;
            case 'x':
                if (!strcasecmp(name, "x-amz-decoded-content-length")) decoded = strtoll(value, NULL, 10);
                else if (!strcasecmp(name, "x-amz-copy-source")) snprintf(c->copied, sizeof c->copied, "%s", value);
                else if (!strcasecmp(name, "x-amz-copy-source-if-match")) snprintf(c->copied_if, sizeof c->copied_if, "%s", value);
                break;
            }
        }
        line = next;
    }
    if (chunked) c->closes = 1, refuse(c, 411, "MissingContentLength");
    else if (expects && c->body_left) append(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    c->body_size = decoded >= 0 ? (uint64_t)decoded : c->body_left;
    c->is_hashed = decoded < 0 && (verifies || c->body_left <= HASHED);
    md5_begin(&c->md5);
    c->in_body = 1;
    return !chunked;
}

static void feed(conn_t *c, char *data, size_t size) {
    count.in += size;
    for (;;) {
        if (c->in_body) {
            size_t take = size < c->body_left ? size : c->body_left;
            if (c->is_hashed) md5_add(&c->md5, data, take);
            c->body_left -= take, data += take, size -= take;
            if (c->body_left) return;
            c->in_body = 0;
            act(c);
        }
        if (!size) return;
        char *end = c->head.size ? NULL : memmem(data, size, "\r\n\r\n", 4);
        if (end) { /* whole in one read, as nearly always */
            char *body = end + 4;
            end[2] = 0;
            size -= body - data;
            if (!begin_request(c, data)) c->closes = 1;
            data = body;
        } else {
            size_t had = c->head.size;
            append(&c->head, data, size);
            end = memmem(c->head.data, c->head.size, "\r\n\r\n", 4);
            if (!end) {
                if (c->head.size > HEAD_AT_MOST) c->closes = 1;
                return;
            }
            size_t length = end + 4 - c->head.data;
            data += length - had, size -= length - had;
            end[2] = 0;
            if (!begin_request(c, c->head.data)) c->closes = 1;
            c->head.size = 0;
        }
    }
}

/* --- the loop ------------------------------------------------------------------------------------------------------ */

static void end_connection(conn_t *c) {
    close(c->fd);
    if (c->file >= 0) close(c->file);
#ifdef WITH_TLS
    if (c->tls) SSL_free(c->tls);
    ERR_clear_error();
#endif
    free(c->head.data), free(c->out.data), free(c);
}

static ssize_t transmit(conn_t *c, const char *data, size_t size) {
#ifdef WITH_TLS
    if (c->tls) {
        int n = SSL_write(c->tls, data, size);
        if (n > 0) return n;
        errno = SSL_get_error(c->tls, n) == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
        return -1;
    }
#endif
    return send(c->fd, data, size, MSG_NOSIGNAL | (c->file_left ? MSG_MORE : 0));
}

static ssize_t receive(conn_t *c) {
#ifdef WITH_TLS
    if (c->tls) {
        int n = SSL_read(c->tls, scratch, SCRATCH - 1);
        if (n > 0) return n;
        int why = SSL_get_error(c->tls, n);
        errno = why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
        return why == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }
#endif
    return recv(c->fd, scratch, SCRATCH - 1, 0);
}

/* Send what there is; 0 when the connection is over. */
static int flush(conn_t *c) {
    int blocked = 0;
    while (c->out_sent < c->out.size && !blocked) {
        ssize_t n = transmit(c, c->out.data + c->out_sent, c->out.size - c->out_sent);
        if (n < 0 && errno != EAGAIN) return 0;
        if (n < 0) blocked = 1;
        else c->out_sent += n, count.out += n;
    }
    while (!blocked && c->file_left) {
        ssize_t n = sendfile(c->fd, c->file, &c->file_at, c->file_left);
        if (n == 0 || (n < 0 && errno != EAGAIN)) return 0;
        if (n < 0) blocked = 1;
        else c->file_left -= n, count.out += n;
    }
    if (!blocked) {
        c->out.size = c->out_sent = 0;
        if (c->out.room > (256 << 10)) free(c->out.data), c->out = (text_t){0};
        if (c->file >= 0) close(c->file), c->file = -1;
    }
    if (blocked != c->wants_write) {
        struct epoll_event event = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0), .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
        c->wants_write = blocked;
    }
    return blocked || !c->closes || c->in_body;
}

static int serve(conn_t *c, uint32_t events) {
    if ((events & EPOLLOUT) && !flush(c)) return 0;
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return 1;
    do {
        ssize_t n = receive(c);
        if (n < 0 && errno == EAGAIN) return 1;
        if (n <= 0) return 0;
        scratch[n] = 0;
        feed(c, scratch, n);
        if (c->out.size && !flush(c)) return 0;
    } while (c->tls);
    return 1;
}

static void welcome(int listener, void *tls_settings) {
    int fd, one = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        conn_t *c = calloc(1, sizeof *c);
        c->fd = fd, c->file = -1;
        count.connections++;
#ifdef WITH_TLS
        if (tls_settings) c->tls = SSL_new(tls_settings), SSL_set_fd(c->tls, fd), SSL_set_accept_state(c->tls);
#else
        (void)tls_settings;
#endif
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
    }
}

static void *tls_settings(const char *certificate, const char *key) {
#ifdef WITH_TLS
    SSL_CTX *settings = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(settings, certificate) == 1 && SSL_CTX_use_PrivateKey_file(settings, key, SSL_FILETYPE_PEM) == 1) {
        SSL_CTX_set_mode(settings, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(settings, 1);
        return settings;
    }
#endif
    fprintf(stderr, "sink: no TLS with %s and %s\n", certificate, key);
    exit(1);
}

int main(int argc, char **argv) {
    void *tls = NULL;
    struct rlimit files;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files), files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files);
    started = time(NULL);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--verify")) verifies = 1;
        else if (!strcmp(argv[i], "--tls") && i + 2 < argc) tls = tls_settings(argv[i + 1], argv[i + 2]), i += 2;
        else if (!strcmp(argv[i], "--parts") && i + 1 < argc) part_size = atoll(argv[++i]);
        else if (!strcmp(argv[i], "--serve") && i + 3 < argc) {
            bucket_t *flat = add_bucket(argv[i + 1]), *tree = add_bucket(argv[i + 2]);
            flat->folder = tree->folder = argv[i + 3], flat->is_flat = 1;
            remember_folder(flat, tree, argv[i + 3], "");
            i += 3;
        } else return fprintf(stderr, "sink: %s?\n", argv[i]), 2;
    }
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listener, (void *)&here, sizeof here) || listen(listener, 4096)) return perror("listen"), 1;
    getsockname(listener, (void *)&here, &size);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[512];
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    printf("%d\n", ntohs(here.sin_port)), fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, 512, -1);
        for (int i = 0; i < ready; i++) {
            if (!events[i].data.ptr) welcome(listener, tls);
            else if (!serve(events[i].data.ptr, events[i].events)) end_connection(events[i].data.ptr);
        }
    }
}
