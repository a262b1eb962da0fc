#include "job/pattern.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool rt_pattern_is(const char *pattern)
{
  return strchr(pattern, '*') != NULL;
}

bool rt_pattern_find(const char *pattern, const char *word, const char **name, size_t *length)
{
  size_t head = strcspn(pattern, "*"), tail = strlen(pattern) - head - 1, whole = strlen(word);

  if (whole < head + tail || strncmp(word, pattern, head) || strcmp(word + whole - tail, pattern + head + 1))
    return false;
  *name = word + head;
  *length = whole - head - tail;
  return true;
}

bool rt_pattern_allows(const char *name, size_t length)
{
  for (size_t i = 0; i < length; i++)
    if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i])) return false;
  return length && length < RT_PATTERN_NAME;
}

void rt_pattern_fill(const char *pattern, const char *name, size_t length, char *word)
{
  size_t head = strcspn(pattern, "*");

  snprintf(word, RT_PATTERN_WORD, "%.*s%.*s%s", (int)head, pattern, (int)length, name, pattern + head + 1);
}

void rt_pattern_guess(const char *pattern, const char *like, char *word)
{
  for (const char *p = pattern; *p != '*' && like; p++)
    if (*p == '_') like = strchr(like, '_') ? strchr(like, '_') + 1 : NULL;
  if (like && rt_pattern_allows(like, strcspn(like, "_")))
    rt_pattern_fill(pattern, like, strcspn(like, "_"), word);
  else
    rt_pattern_fill(pattern, "NAME", 4, word);
}

bool rt_pattern_siblings(const char *a, const char *b)
{
  size_t head = strcspn(a, "*");

  return rt_pattern_is(a) && rt_pattern_is(b) && head == strcspn(b, "*") && !strncmp(a, b, head);
}

bool rt_pattern_under(const char *pattern, const char *prefix)
{
  size_t head = strcspn(pattern, "*");

  return rt_pattern_is(pattern) && head == strlen(prefix) + 1 && !strncmp(pattern, prefix, head - 1);
}
