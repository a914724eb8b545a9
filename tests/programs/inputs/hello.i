extern int printf(const char *, ...);
extern int atoi(const char *);
extern double sqrt(double), sin(double);
static unsigned long long f(unsigned n) { return n < 2 ? n : f(n - 1) + f(n - 2); }
int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
	double s = 0;
	for (unsigned i = 0; i < n * 100; i++)
		s += sin(i) * sqrt(i) / (i + 1.25);
	return printf("%llu %.17g\n", f(n * 2), s) < 0;
}
