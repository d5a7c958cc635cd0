// math.glsl - sine, cosine and powers of two of known accuracy on every device.
#ifndef MATH_GLSL
#define MATH_GLSL

// 2^x for x <= 0: 2^-126 and less give exactly 0. Relative error below 2e-7.
// x = i + f, |f| <= 1/2; the polynomial interpolates (2^f - 1) / f at Chebyshev's points.
float exp2_nonpositive(float x)
{
    float i = roundEven(max(x, -127.0));
    float f = max(x, -127.0) - i;
    float p = 1.54614475e-4;
    p = p * f + 1.33908674e-3;
    p = p * f + 9.61805667e-3;
    p = p * f + 5.5503571e-2;
    p = p * f + 2.40226509e-1;
    p = p * f + 6.93147188e-1;
    p = p * f + 1.0;
    return x < -126.0 ? 0.0 : p * intBitsToFloat((int(i) + 127) << 23);
}

// (sin x, cos x) for |x| <= 1e4, absolute error below 2e-7 (Cody and Waite, 1980): x = k pi/2 + r; pi/2 is split into
// three parts, the first two short enough that k times them is exact for k < 2^15.
vec2 sincos(float x)
{
    precise float k = roundEven(x * 0.63661977236758134);
    precise float r = x - k * 1.5703125; // 8 significant bits
    r = r - k * 4.8351287841796875e-4;   // 9
    r = r - k * 3.1391647858925e-7;
    float z = r * r;
    // Taylor series on |r| <= pi/4: remainders (pi/4)^11/11! = 2e-9 and (pi/4)^12/12! = 1e-10
    float s = r + r * z * (-1.6666666667e-1 + z * (8.3333333333e-3 + z * (-1.9841269841e-4 + z * 2.7557319224e-6)));
    float c = 1.0 + z * (-0.5 + z * (4.1666666667e-2 + z * (-1.3888888889e-3 +
              z * (2.4801587302e-5 - z * 2.7557319224e-7))));
    int quadrant = int(k) & 3;
    vec2 sc = (quadrant & 1) != 0 ? vec2(c, s) : vec2(s, c);
    if (quadrant >= 2)
        sc.x = -sc.x;
    if (quadrant == 1 || quadrant == 2)
        sc.y = -sc.y;
    return sc;
}

#endif
