#include <stdio.h>

int main(void) {
    puts("Hello from an image that this machine has built out of itself.");
    return 0;
}
