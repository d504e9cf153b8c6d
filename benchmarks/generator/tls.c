/* tls.c: TLS by the machine's libssl, opened at run time: no headers are needed to build.
 *
 * No certificate is checked: this is a generator for your own servers on loopback. */
#include "load.h"

#include <dlfcn.h>
#include <errno.h>

enum { WANT_READ = 2, WANT_WRITE = 3, ZERO_RETURN = 6, CTRL_MODE = 33, PARTIAL_MOVING = 3 };

static void *context;
static void *(*ssl_new)(void *), (*ssl_free)(void *), (*ssl_set_connect_state)(void *);
static int (*ssl_set_fd)(void *, int), (*ssl_do_handshake)(void *), (*ssl_get_error)(void *, int);
static int (*ssl_read)(void *, void *, int), (*ssl_write)(void *, const void *, int);
static void (*err_clear)(void);

static void *function(void *library, const char *name) {
    void *found = dlsym(library, name);
    if (!found) fail("libssl has no %s", name);
    return found;
}

void tls_setup(void) {
    void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_GLOBAL);
    if (!library) library = dlopen("libssl.so", RTLD_NOW | RTLD_GLOBAL);
    if (!library) fail("no libssl: %s", dlerror());
    void *(*method)(void), *(*context_new)(void *);
    long (*control)(void *, int, long, void *);
    *(void **)&method = function(library, "TLS_client_method");
    *(void **)&context_new = function(library, "SSL_CTX_new");
    *(void **)&control = function(library, "SSL_CTX_ctrl");
    *(void **)&ssl_new = function(library, "SSL_new");
    *(void **)&ssl_free = function(library, "SSL_free");
    *(void **)&ssl_set_fd = function(library, "SSL_set_fd");
    *(void **)&ssl_set_connect_state = function(library, "SSL_set_connect_state");
    *(void **)&ssl_do_handshake = function(library, "SSL_do_handshake");
    *(void **)&ssl_get_error = function(library, "SSL_get_error");
    *(void **)&ssl_read = function(library, "SSL_read");
    *(void **)&ssl_write = function(library, "SSL_write");
    *(void **)&err_clear = function(library, "ERR_clear_error");
    context = context_new(method());
    if (!context) fail("libssl makes no context");
    control(context, CTRL_MODE, PARTIAL_MOVING, NULL);  /* a buffer may grow between retries */
}

void tls_attach(struct conn *c) {
    c->ssl = ssl_new(context);
    if (!c->ssl || !ssl_set_fd(c->ssl, c->fd)) fail("libssl makes no connection");
    ssl_set_connect_state(c->ssl);
}

void tls_detach(struct conn *c) {
    ssl_free(c->ssl);
    c->ssl = NULL;
}

/* As for read(2) and write(2): 0 for the end, -1 and EAGAIN to retry. */
static long told(struct conn *c, int result) {
    if (result > 0) return result;
    int error = ssl_get_error(c->ssl, result);
    if (error == ZERO_RETURN) return 0;
    if (error == WANT_READ || error == WANT_WRITE) {
        errno = EAGAIN;
    } else {
        if (!errno) return 0;
        if (errno == EAGAIN) errno = EPROTO;
    }
    return -1;
}

bool tls_connect(struct conn *c) {
    errno = 0;
    err_clear();
    long result = told(c, ssl_do_handshake(c->ssl));
    if (result <= 0 && (result == 0 || errno != EAGAIN))
        fail("connection %d: the TLS handshake failed", c->index);
    return result > 0;
}

static int limited(size_t length) { return length > 1 << 30 ? 1 << 30 : (int)length; }

long tls_read(struct conn *c, void *data, size_t length) {
    errno = 0;
    err_clear();
    return told(c, ssl_read(c->ssl, data, limited(length)));
}

long tls_write(struct conn *c, const void *data, size_t length) {
    errno = 0;
    err_clear();
    long sent = told(c, ssl_write(c->ssl, data, limited(length)));
    if (sent == 0) {
        errno = ECONNRESET;
        return -1;
    }
    return sent;
}
