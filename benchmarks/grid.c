/* All configurations at once, as one would write it in C: lanes last, so that the compiler can take several at a time.
   absolute loss, w = theta - q / (strength i), theta -= step q at the end of a task; configuration c has its own numbers.
   theta and q are (d, LANES) for each block of LANES configurations; losses are summed a task and configuration. */
#include <math.h>

#define LANES 64

void grid(const double *restrict X, const double *restrict y, const long *restrict offsets, long tasks, long d,
          long blocks, const double *restrict strength, const double *restrict step, double *restrict theta,
          double *restrict q, double *restrict losses)
{
    double base[LANES], along[LANES], s[LANES], loss[LANES];
    for (long t = 0; t < tasks; t++)
        for (long b = 0; b < blocks; b++) {
            double *restrict th = theta + b * d * LANES, *restrict qb = q + b * d * LANES;
            const double *restrict lambda = strength + b * LANES, *restrict eta = step + b * LANES;
            for (long k = 0; k < d * LANES; k++)
                qb[k] = 0.0;
            for (long c = 0; c < LANES; c++)
                loss[c] = 0.0;
            for (long r = offsets[t]; r < offsets[t + 1]; r++) {
                const double *restrict x = X + r * d;
                double i = (double)(r - offsets[t] + 1);
                for (long c = 0; c < LANES; c++)
                    base[c] = along[c] = 0.0;
                for (long k = 0; k < d; k++)
                    for (long c = 0; c < LANES; c++) {
                        base[c] += x[k] * th[k * LANES + c];
                        along[c] += x[k] * qb[k * LANES + c];
                    }
                for (long c = 0; c < LANES; c++) {
                    double e = base[c] - along[c] / (lambda[c] * i) - y[r];
                    loss[c] += fabs(e);
                    s[c] = (double)((e > 0.0) - (e < 0.0));
                }
                for (long k = 0; k < d; k++)
                    for (long c = 0; c < LANES; c++)
                        qb[k * LANES + c] += s[c] * x[k];
            }
            for (long k = 0; k < d; k++)
                for (long c = 0; c < LANES; c++)
                    th[k * LANES + c] -= eta[c] * qb[k * LANES + c];
            for (long c = 0; c < LANES; c++)
                losses[(t * blocks + b) * LANES + c] = loss[c];
        }
}
