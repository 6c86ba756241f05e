"""The seam between profiles and objects; only this folder knows both settings and the engine."""
