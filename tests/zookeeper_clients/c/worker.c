/* Debian's libzookeeper_mt under the worker protocol of workers.py. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zookeeper/zookeeper.h>

enum { SESSION_MS = 10000, SHORT_SESSION_MS = 2000, PATIENCE_S = 30, LINE = 1024, EVENTS = 64 };

/* --- scenarios that fail ---------------------------------------------------------------------- */

static jmp_buf failed;
static char why[LINE];

static void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(why, sizeof why, format, values);
    va_end(values);
    longjmp(failed, 1);
}

#define CHECK(condition) \
    do { \
        if (!(condition)) fail("line %d: not so: %s", __LINE__, #condition); \
    } while (0)

#define RETURNS(wanted, call) \
    do { \
        int returned = (call); \
        if (returned != (wanted)) \
            fail("line %d: %s: expected %d, got %d", __LINE__, #call, (int)(wanted), returned); \
    } while (0)

#define OK(call) RETURNS(ZOK, call)

/* --- the test at the other end of the pipes --------------------------------------------------- */

struct lab {
    char hosts[LINE], relayed[LINE], root[LINE];
};

static void ask(const char *request) {
    char answer[LINE];
    printf("@%s\n", request);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin)) exit(0);
}

/* --- events ----------------------------------------------------------------------------------- */

/* What watchers and sessions were told, in order; a session event has its state as type. */
struct inbox {
    pthread_mutex_t mutex;
    pthread_cond_t grown;
    int count, taken;
    struct {
        int type;
        char path[LINE];
    } events[EVENTS];
};

static void put(struct inbox *inbox, int type, const char *path) {
    pthread_mutex_lock(&inbox->mutex);
    if (inbox->count < EVENTS) {
        inbox->events[inbox->count].type = type;
        snprintf(inbox->events[inbox->count].path, LINE, "%s", path ? path : "");
        inbox->count++;
    }
    pthread_cond_broadcast(&inbox->grown);
    pthread_mutex_unlock(&inbox->mutex);
}

/* Told by the library's own thread: session states go to the inbox of the handle. */
static void told(zhandle_t *zk, int type, int state, const char *path, void *context) {
    (void)zk;
    if (type != ZOO_SESSION_EVENT) put(context, type, path);
}

static void told_state(zhandle_t *zk, int type, int state, const char *path, void *context) {
    (void)zk, (void)path;
    if (type == ZOO_SESSION_EVENT) put(context, state, "");
}

/* Waits for an event of this type and path; those before it are dropped. */
static void await(struct inbox *inbox, int type, const char *path) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_S;
    int found = 0, late = 0;
    pthread_mutex_lock(&inbox->mutex);
    while (!found && !late) {
        while (!found && inbox->taken < inbox->count) {
            found = inbox->events[inbox->taken].type == type &&
                    strcmp(inbox->events[inbox->taken].path, path) == 0;
            inbox->taken++;
        }
        if (!found)
            late = pthread_cond_timedwait(&inbox->grown, &inbox->mutex, &deadline) == ETIMEDOUT;
    }
    pthread_mutex_unlock(&inbox->mutex);
    if (!found) fail("no event %d at '%s'", type, path);
}

static struct inbox *new_inbox(void) {
    struct inbox *inbox = calloc(1, sizeof *inbox);
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_cond_init(&inbox->grown, NULL);
    return inbox;
}

static zhandle_t *open_at(const char *hosts, int timeout_ms, struct lab *lab, struct inbox *states) {
    char address[3 * LINE];
    snprintf(address, sizeof address, "%s%s", hosts, lab->root);
    zhandle_t *zk = zookeeper_init(address, told_state, timeout_ms, NULL, states, 0);
    CHECK(zk != NULL);
    await(states, ZOO_CONNECTED_STATE, "");
    return zk;
}

static zhandle_t *open_zk(struct lab *lab) {
    return open_at(lab->hosts, SESSION_MS, lab, new_inbox());
}

/* Lets later reads see all that others have been told: reads are local to a server. */
static void synced(int code, const char *path, const void *context) {
    (void)path;
    put((struct inbox *)context, code, "sync");
}

static void sync_up(zhandle_t *zk) {
    struct inbox *answers = new_inbox();
    OK(zoo_async(zk, "/", synced, answers));
    await(answers, ZOK, "sync");
}

static int make(zhandle_t *zk, const char *path, int mode) {
    return zoo_create(zk, path, "x", 1, &ZOO_OPEN_ACL_UNSAFE, mode, NULL, 0);
}

/* --- scenarios -------------------------------------------------------------------------------- */

static void crud(struct lab *lab) {
    zhandle_t *zk = open_zk(lab);
    char data[LINE], path[LINE];
    int length = sizeof data;
    struct Stat stat;
    struct String_vector names;
    OK(zoo_create(zk, "/a", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path));
    CHECK(strcmp(path, "/a") == 0);
    OK(zoo_get(zk, "/a", 0, data, &length, &stat));
    CHECK(length == 3 && memcmp(data, "one", 3) == 0 && stat.version == 0);
    OK(zoo_set2(zk, "/a", "three", 5, 0, &stat));
    CHECK(stat.version == 1 && stat.dataLength == 5);
    OK(make(zk, "/a/b", 0));
    OK(zoo_get_children2(zk, "/a", 0, &names, &stat));
    CHECK(names.count == 1 && strcmp(names.data[0], "b") == 0 && stat.numChildren == 1);
    deallocate_String_vector(&names);
    RETURNS(ZNONODE, zoo_exists(zk, "/nothing", 0, &stat));
    RETURNS(ZNODEEXISTS, make(zk, "/a", 0));
    RETURNS(ZNONODE, make(zk, "/x/y", 0));
    RETURNS(ZBADVERSION, zoo_set(zk, "/a", "", 0, 9));
    RETURNS(ZNOTEMPTY, zoo_delete(zk, "/a", -1));
    OK(zoo_delete(zk, "/a/b", 0));
    OK(zoo_set(zk, "/a", NULL, -1, -1));
    OK(zoo_delete(zk, "/a", 2));
    zookeeper_close(zk);
}

static void create_modes(struct lab *lab) {
    zhandle_t *zk = open_zk(lab);
    const int modes[] = {ZOO_PERSISTENT, ZOO_EPHEMERAL, ZOO_PERSISTENT_SEQUENTIAL,
                         ZOO_EPHEMERAL_SEQUENTIAL, ZOO_CONTAINER, ZOO_PERSISTENT_WITH_TTL,
                         ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL};
    for (size_t index = 0; index < sizeof modes / sizeof *modes; index++) {
        int mode = modes[index];
        int is_ephemeral = mode == ZOO_EPHEMERAL || mode == ZOO_EPHEMERAL_SEQUENTIAL;
        int is_sequential = mode == ZOO_PERSISTENT_SEQUENTIAL || mode == ZOO_EPHEMERAL_SEQUENTIAL ||
                            mode == ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL;
        int has_ttl = mode == ZOO_PERSISTENT_WITH_TTL || mode == ZOO_PERSISTENT_SEQUENTIAL_WITH_TTL;
        char name[LINE], path[LINE];
        struct Stat stat;
        snprintf(name, sizeof name, "/mode%d-", mode);
        OK(zoo_create2_ttl(zk, name, "", 0, &ZOO_OPEN_ACL_UNSAFE, mode, has_ttl ? 600000 : -1,
                           path, sizeof path, &stat));
        CHECK(strlen(path) == strlen(name) + (is_sequential ? 10 : 0));
        CHECK(stat.ephemeralOwner == (is_ephemeral ? zoo_client_id(zk)->client_id : 0));
    }
    RETURNS(ZNOCHILDRENFOREPHEMERALS, make(zk, "/mode1-/child", 0));
    zookeeper_close(zk);
}

static void watches(struct lab *lab) {
    zhandle_t *zk = open_zk(lab), *other = open_zk(lab);
    struct inbox *data = new_inbox(), *exists = new_inbox(), *children = new_inbox();
    struct String_vector names;
    struct Stat stat;
    char buffer[LINE];
    int length = sizeof buffer;
    OK(make(zk, "/w", 0));
    OK(zoo_wget(zk, "/w", told, data, buffer, &length, &stat));
    RETURNS(ZNONODE, zoo_wexists(zk, "/later", told, exists, &stat));
    OK(zoo_wget_children(zk, "/w", told, children, &names));
    deallocate_String_vector(&names);
    OK(zoo_set(other, "/w", "1", 1, -1));
    OK(make(other, "/later", 0));
    OK(make(other, "/w/c", 0));
    await(data, ZOO_CHANGED_EVENT, "/w");
    await(exists, ZOO_CREATED_EVENT, "/later");
    await(children, ZOO_CHILD_EVENT, "/w");
    OK(zoo_wget(zk, "/w", told, data, buffer, &length, &stat));
    OK(zoo_remove_watches(zk, "/w", ZWATCHTYPE_DATA, told, data, 0));
    RETURNS(ZNOWATCHER, zoo_remove_watches(zk, "/w", ZWATCHTYPE_DATA, told, data, 0));
    zookeeper_close(zk);
    zookeeper_close(other);
}

static void watches_across_reconnect(struct lab *lab) {
    struct inbox *states = new_inbox();
    struct inbox *changed = new_inbox(), *created = new_inbox(), *kept = new_inbox();
    zhandle_t *near = open_zk(lab);
    zhandle_t *far = open_at(lab->relayed, SESSION_MS, lab, states);
    struct String_vector names;
    struct Stat stat;
    char buffer[LINE];
    int length = sizeof buffer;
    OK(make(near, "/changed", 0));
    OK(make(near, "/kept", 0));
    sync_up(far);
    RETURNS(ZNONODE, zoo_wexists(far, "/created", told, created, &stat));
    OK(zoo_wget(far, "/changed", told, changed, buffer, &length, &stat));
    OK(zoo_wget_children(far, "/kept", told, kept, &names));
    deallocate_String_vector(&names);
    ask("cut");
    await(states, ZOO_CONNECTING_STATE, "");
    OK(zoo_set(near, "/changed", "1", 1, -1));
    OK(make(near, "/created", 0));
    ask("mend");
    await(states, ZOO_CONNECTED_STATE, "");
    await(changed, ZOO_CHANGED_EVENT, "/changed");
    await(created, ZOO_CREATED_EVENT, "/created");
    OK(make(near, "/kept/child", 0));
    await(kept, ZOO_CHILD_EVENT, "/kept");
    zookeeper_close(far);
    zookeeper_close(near);
}

static void multi(struct lab *lab) {
    zhandle_t *zk = open_zk(lab);
    char made[LINE], sequential[LINE];
    struct Stat stat;
    zoo_op_t good[5], bad[2];
    zoo_op_result_t results[5];
    zoo_create_op_init(&good[0], "/m", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made);
    zoo_create_op_init(&good[1], "/m/s", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, sequential,
                       sizeof sequential);
    zoo_set_op_init(&good[2], "/m", "2", 1, 0, &stat);
    zoo_check_op_init(&good[3], "/m", 1);
    zoo_delete_op_init(&good[4], "/m/s0000000000", -1);
    OK(zoo_multi(zk, 5, good, results));
    CHECK(stat.version == 1);
    CHECK(strstr(sequential, "/m/s0000000000") != NULL);
    zoo_create_op_init(&bad[0], "/u", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made);
    zoo_check_op_init(&bad[1], "/m", 9);
    RETURNS(ZBADVERSION, zoo_multi(zk, 2, bad, results));
    CHECK(results[0].err == ZOK && results[1].err == ZBADVERSION);
    RETURNS(ZNONODE, zoo_exists(zk, "/u", 0, &stat));
    zookeeper_close(zk);
}

static void noted(int code, const void *context) {
    put((struct inbox *)context, code, "auth");
}

static void acls(struct lab *lab) {
    zhandle_t *eve = open_zk(lab), *other = open_zk(lab);
    struct inbox *answers = new_inbox();
    struct ACL_vector acl;
    struct Stat stat;
    RETURNS(ZINVALIDACL, zoo_create(eve, "/mine", "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    OK(zoo_add_auth(eve, "digest", "eve:pass", 8, noted, answers));
    await(answers, ZOK, "auth");
    OK(zoo_create(eve, "/mine", "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    OK(zoo_set(eve, "/mine", "x", 1, -1));
    RETURNS(ZNOAUTH, zoo_set(other, "/mine", "y", 1, -1));
    OK(zoo_get_acl(eve, "/mine", &acl, &stat));
    CHECK(acl.count == 1 && strcmp(acl.data[0].id.scheme, "digest") == 0);
    deallocate_ACL_vector(&acl);
    OK(zoo_set_acl(eve, "/mine", 0, &ZOO_READ_ACL_UNSAFE));
    RETURNS(ZNOAUTH, zoo_set(eve, "/mine", "y", 1, -1));
    zookeeper_close(eve);
    zookeeper_close(other);
}

static void ephemerals(struct lab *lab) {
    zhandle_t *zk = open_zk(lab), *owner = open_zk(lab);
    struct inbox *gone = new_inbox();
    struct Stat stat;
    OK(make(owner, "/e", ZOO_EPHEMERAL));
    sync_up(zk);
    OK(zoo_wexists(zk, "/e", told, gone, &stat));
    zookeeper_close(owner);
    await(gone, ZOO_DELETED_EVENT, "/e");
    zookeeper_close(zk);
}

static void session_moves(struct lab *lab) {
    struct inbox *states = new_inbox();
    zhandle_t *zk = open_at(lab->hosts, SESSION_MS, lab, states);
    struct Stat stat;
    OK(make(zk, "/e", ZOO_EPHEMERAL));
    int64_t before = zoo_client_id(zk)->client_id;
    ask("kill");
    await(states, ZOO_CONNECTING_STATE, "");
    await(states, ZOO_CONNECTED_STATE, "");
    CHECK(zoo_client_id(zk)->client_id == before);
    OK(zoo_exists(zk, "/e", 0, &stat));
    CHECK(stat.ephemeralOwner == before);
    zookeeper_close(zk);
    ask("restart");
}

static void expiry(struct lab *lab) {
    struct inbox *states = new_inbox();
    zhandle_t *zk = open_at(lab->relayed, SHORT_SESSION_MS, lab, states);
    char request[2 * LINE];
    OK(make(zk, "/e", ZOO_EPHEMERAL));
    snprintf(request, sizeof request, "expire %s/e", lab->root);
    ask(request);
    await(states, ZOO_EXPIRED_SESSION_STATE, "");
    CHECK(is_unrecoverable(zk) == ZINVALIDSTATE);
    zookeeper_close(zk);
}

/* --- main ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*run)(struct lab *);
} SCENARIOS[] = {
    {"crud", crud},
    {"create_modes", create_modes},
    {"watches", watches},
    {"watches_across_reconnect", watches_across_reconnect},
    {"multi", multi},
    {"acls", acls},
    {"ephemerals", ephemerals},
    {"session_moves", session_moves},
    {"expiry", expiry},
};

static void run(const char *name, struct lab *lab) {
    for (size_t index = 0; index < sizeof SCENARIOS / sizeof *SCENARIOS; index++)
        if (strcmp(name, SCENARIOS[index].name) == 0) {
            SCENARIOS[index].run(lab);
            return;
        }
    fail("no scenario is called %s", name);
}

int main(void) {
    static char line[4 * LINE], name[LINE];
    static struct lab lab;
    zoo_set_debug_level(ZOO_LOG_LEVEL_WARN);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "run %1023s %1023s %1023s %1023s", name, lab.hosts, lab.relayed,
                   lab.root) != 4)
            return 2;
        if (setjmp(failed) == 0) {
            run(name, &lab);
            puts("PASS");
        } else {
            printf("FAIL %s\n", why);
        }
        fflush(stdout);
    }
    return 0;
}
