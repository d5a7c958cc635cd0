// moments.glsl - count, mean and M2 (the sum of squared distances from the mean) of a set of numbers, and of two
// sets' union by the pairwise rule of Chan, Golub and LeVeque (1979).
#ifndef MOMENTS_GLSL
#define MOMENTS_GLSL

struct Moments {
    float n, mean, m2;
};

Moments merged(Moments a, Moments b)
{
    float n = a.n + b.n;
    if (n == 0.0)
        return a;
    float d = b.mean - a.mean;
    float share = b.n / n;
    return Moments(n, a.mean + d * share, a.m2 + (b.m2 + d * d * a.n * share));
}

#endif
