-- Nobody leads: every duty is harmless when two processes do it at once.
DROP TABLE leaders;
