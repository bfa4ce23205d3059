/* The least that a plugin can be: what starting a process costs, and nothing else. */
int
main(void)
{
    return 0;
}
