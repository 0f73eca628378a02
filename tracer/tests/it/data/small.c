/* The program behind small.json and small-alloc.json: four call sites, three of which keep memory.
 *
 * gcc -O1 -g -fno-omit-frame-pointer -o small small.c
 * tracer run --label service=small -o small.json -- ./small
 * tracer run --mode alloc -o small-alloc.json -- ./small */
#include <stdlib.h>

#define NOINLINE __attribute__((noinline))

static void *volatile kept[64];
static void *volatile dropped;

NOINLINE static void keep_large(int at) {
    kept[at] = malloc(4096);
    kept[at + 1] = malloc(4096);
}

NOINLINE static void keep_small(int at) {
    kept[at] = calloc(3, 10);
}

NOINLINE static void borrow(void) {
    dropped = malloc(100);
    free(dropped);
}

int main(void) {
    for (int round = 0; round < 10; round++) {
        keep_large(2 * round);
        keep_small(20 + round);
        borrow();
    }
    return 0;
}
