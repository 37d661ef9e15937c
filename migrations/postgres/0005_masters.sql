-- The prints of the master keys that a worker was given, with commas between.
ALTER TABLE workers ADD COLUMN masters TEXT NOT NULL DEFAULT '';
