#include "core/size.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char prefixes[] = "KMGT";

bool rt_size_parse(const char *text, int64_t *bytes)
{
  const char *prefix;
  double number;
  char *end;

  if (!isdigit((unsigned char)text[0])) return false;
  number = strtod(text, &end);
  prefix = *end ? strchr(prefixes, toupper((unsigned char)*end)) : NULL;
  if (prefix) {
    number = ldexp(number, 10 * (int)(prefix - prefixes + 1));
    end++;
  }
  if (*end || !(number <= 0x1p53)) return false;
  *bytes = (int64_t)number;
  return true;
}

const char *rt_size_text(int64_t bytes, char text[RT_SIZE_TEXT])
{
  int power = 0;

  while (power < 4 && bytes >> (10 * (power + 1))) power++;
  snprintf(text, RT_SIZE_TEXT, "%.4g%.1s", ldexp((double)bytes, -10 * power), power ? prefixes + power - 1 : "");
  return text;
}
