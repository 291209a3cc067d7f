/* SPDX-License-Identifier: MIT */
/* The arithmetic of sampling one allocation in a given number of bytes. Samples are a Poisson
 * process over the bytes that a thread allocates: each byte is hit with the same chance, 1/rate,
 * independently of the others. So an object of s bytes is sampled with the chance 1 - exp(-s/rate),
 * and stands for one divided by that many objects. Not by libm: that would be one more library in
 * every process. Any thread. */
#ifndef HAK_STATS_CHANCE_H
#define HAK_STATS_CHANCE_H

#include <stddef.h>
#include <stdint.h>

/* Natural logarithm of 0 < x < 2^1000; within 1e-11 of it. */
double hak_chance_ln(double x);

/* 1 - exp(-bytes/rate): the chance that an object is sampled; rate > 0. */
double hak_chance_of(size_t bytes, double rate);

/* Makes a state of random numbers from any number; states of neighbouring numbers are unrelated
 * (the finaliser of splitmix64; Steele and others, OOPSLA 2014). Returns `state`, which is not
 * 0. */
uint64_t *hak_chance_scatter(uint64_t *state);

/* The next of a sequence of random numbers (xorshift64*, Vigna 2016); the state is never 0. */
uint64_t hak_chance_random(uint64_t *state);

/* Bytes to the next sample: of exponential distribution with the mean `rate`. */
double hak_chance_bytes(uint64_t *state, double rate);

#endif
