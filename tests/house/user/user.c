/* user.c - prints the versions of the library that it runs with and of the headers that it was built with. */
#include <stdio.h>
#include <vkanim/vkanim.h>

int main(void)
{
    printf("%s %u %d\n", vka_version(), vka_api_version(), VKA_API_VERSION);
    return 0;
}
